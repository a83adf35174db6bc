// A line over the last minute that moves on with the time, on a canvas.

class Chart {
    constructor(canvas, { color, grid = false }) {
        this.canvas = canvas;
        this.color = color;
        this.grid = grid;
        this.values = []; // { at: seconds, value }
        this.top = 1;
        this.draw = this.draw.bind(this);
        requestAnimationFrame(this.draw);
    }

    // `age` is how many seconds ago a value was measured.
    add(value, age) {
        const at = performance.now() / 1000 - age;
        this.values.push({ at, value });
        while (this.values.length && this.values[0].at < at - 65) this.values.shift();
        this.canvas.dataset.points = this.values.length;
    }

    draw() {
        const { canvas, values } = this;
        const ratio = window.devicePixelRatio || 1;
        const width = canvas.clientWidth;
        const height = canvas.clientHeight;
        if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
            canvas.width = width * ratio;
            canvas.height = height * ratio;
        }
        const pen = canvas.getContext('2d');
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        pen.clearRect(0, 0, width, height);

        const now = performance.now() / 1000 - 1; // one second late: what comes next is known, the line need not jump
        const left = this.grid ? 36 : 0;
        const wanted = Math.max(1, ...values.map(({ value }) => value)) * 1.15;
        this.top += (wanted - this.top) * (this.top === 1 ? 1 : 0.08);
        const x = (at) => left + (width - left) * (1 - (now - at) / 60);
        const y = (value) => height - 4 - (height - 8) * (value / this.top);

        if (this.grid) this.drawGrid(pen, width, left, y);
        if (values.length > 1) {
            pen.save();
            pen.beginPath();
            pen.rect(left, 0, width - left, height);
            pen.clip();
            this.drawLine(pen, height, x, y);
            pen.restore();
        }
        requestAnimationFrame(this.draw);
    }

    drawGrid(pen, width, left, y) {
        const step = [5, 10, 20, 50, 100, 200].find((each) => this.top / each <= 5) || 500;
        pen.font = '11px system-ui, sans-serif';
        pen.fillStyle = '#64748b';
        pen.strokeStyle = 'rgba(148, 163, 184, 0.14)';
        pen.textAlign = 'right';
        pen.textBaseline = 'middle';
        pen.lineWidth = 1;
        for (let value = 0; value < this.top; value += step) {
            const line = Math.round(y(value)) + 0.5;
            pen.fillText(value, left - 8, Math.max(8, line));
            pen.beginPath();
            pen.moveTo(left, line);
            pen.lineTo(width, line);
            pen.stroke();
        }
    }

    drawLine(pen, height, x, y) {
        const { values } = this;
        const path = new Path2D();
        path.moveTo(x(values[0].at), y(values[0].value));
        for (let i = 1; i < values.length; i++) {
            const [from, to] = [values[i - 1], values[i]];
            const middle = (x(from.at) + x(to.at)) / 2;
            path.bezierCurveTo(middle, y(from.value), middle, y(to.value), x(to.at), y(to.value));
        }
        const area = new Path2D(path);
        area.lineTo(x(values[values.length - 1].at), height);
        area.lineTo(x(values[0].at), height);
        const shade = pen.createLinearGradient(0, 0, 0, height);
        shade.addColorStop(0, `${this.color}55`);
        shade.addColorStop(1, `${this.color}00`);
        pen.fillStyle = shade;
        pen.fill(area);
        pen.strokeStyle = this.color;
        pen.lineWidth = 2;
        pen.lineJoin = 'round';
        pen.stroke(path);
    }
}
