// What arrives goes into the charts and the numbers above them.

const charts = {
    orders: new Chart(document.getElementById('chart'), { color: '#6ee7b7', grid: true }),
    visitors: new Chart(document.getElementById('visitors-chart'), { color: '#93c5fd' }),
    milliseconds: new Chart(document.getElementById('milliseconds-chart'), { color: '#fcd34d' }),
};

function show(measured, age = 0) {
    for (const [name, chart] of Object.entries(charts)) {
        chart.add(measured[name], age);
        document.getElementById(name).textContent = measured[name];
    }
}

function list(order, mine) {
    document.querySelector('#feed .empty')?.remove();
    const item = document.createElement('li');
    item.textContent = `${mine ? 'You' : order.customer} bought ${order.goods}`;
    item.className = mine ? 'mine' : '';
    document.getElementById('feed').prepend(item);
}

points.forEach((measured, index) => show(measured, points.length - 1 - index));

const echo = Soundpost.connect();
echo.connector.onConnectionChange((state) => {
    const status = document.getElementById('status');
    status.textContent = state;
    status.className = state;
});
echo.private('dashboard')
    .listen('Measured', (measured) => show(measured))
    .listen('OrderPlaced', (order) => list(order, false));

document.getElementById('order').addEventListener('click', async () => {
    const answer = await fetch('/orders', { method: 'POST' }); // with X-Socket-ID, so this page is left out
    list(await answer.json(), true);
});
