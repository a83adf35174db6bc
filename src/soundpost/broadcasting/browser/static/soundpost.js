// Soundpost: options for laravel-echo, and X-Socket-ID on requests of this page, so that its own events do not come back.
(function () {
    if (window.Soundpost) return;
    const element = document.getElementById('soundpost-config');
    const options = element ? JSON.parse(element.textContent) : {};
    const HEADER = 'X-Socket-ID';
    const socketId = () => (window.Echo && window.Echo.socketId ? window.Echo.socketId() : undefined);
    const isSameOrigin = (url) => new URL(url, location.href).origin === location.origin;

    const notLoaded = (library, file) =>
        new Error(
            `${library} is not loaded: add a script tag with src="…/${file}" before the script that calls ` +
                'Soundpost.connect(), or let the tag that prints the options print it too: libraries=True',
        );

    window.Soundpost = {
        options,
        socketId,
        // An Echo with these options, on pages without a bundler: pusher-js and laravel-echo are loaded by script tags.
        connect(more) {
            if (window.Echo && window.Echo.connector) return window.Echo;
            const Echo = window.Echo && window.Echo.default ? window.Echo.default : window.Echo;
            const settings = Object.assign({}, options, more);
            if (typeof Echo !== 'function') throw notLoaded('laravel-echo', 'echo.iife.js');
            if (!settings.Pusher && !settings.client && typeof window.Pusher !== 'function') {
                throw notLoaded('pusher-js', 'pusher.min.js');
            }
            window.Echo = new Echo(settings);
            return window.Echo;
        },
    };

    const fetch = window.fetch;
    window.fetch = function (input, init) {
        const id = socketId();
        const url = input instanceof Request ? input.url : input;
        if (!id || !isSameOrigin(url)) return fetch.call(this, input, init);
        const headers = new Headers((init && init.headers) || (input instanceof Request ? input.headers : undefined));
        if (!headers.has(HEADER)) headers.set(HEADER, id);
        return fetch.call(this, input, Object.assign({}, init, { headers }));
    };
    document.addEventListener('htmx:configRequest', (event) => {
        const id = socketId();
        if (id) event.detail.headers[HEADER] = id;
    });
    document.addEventListener('DOMContentLoaded', () => {
        if (!window.axios) return;
        window.axios.interceptors.request.use((config) => {
            const id = socketId();
            if (id && isSameOrigin(config.url || '')) config.headers[HEADER] = id;
            return config;
        });
    });
})();
