// A click is a client event: the server hands it on to Python, and Python tells all how many like the post.

const echo = Soundpost.connect();
echo.connector.onConnectionChange((state) => { document.getElementById('status').textContent = state; });

document.querySelectorAll('[data-post]').forEach((article) => {
    const button = article.querySelector('button');
    const readers = new Set();
    const count = () => { article.querySelector('.readers').textContent = `${readers.size} reading`; };
    const post = echo.join(`posts.${article.dataset.post}`)
        .here((all) => {
            readers.clear();
            all.forEach(({ name }) => readers.add(name));
            count();
            button.disabled = false;
        })
        .joining(({ name }) => { readers.add(name); count(); })
        .leaving(({ name }) => { readers.delete(name); count(); })
        .listen('LikesCounted', ({ likes }) => { article.querySelector('.likes').textContent = likes; });
    button.addEventListener('click', () => {
        const liked = button.ariaPressed !== 'true';
        button.ariaPressed = String(liked);
        post.whisper('like', { liked });
    });
});
