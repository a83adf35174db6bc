// Soundpost: options for laravel-echo, and X-Socket-ID on requests of this page, so that its own events do not come back.
(function () {
    const elements = document.querySelectorAll('#soundpost-config');
    const element = elements[elements.length - 1];
    const { positions = {}, ...options } = element ? JSON.parse(element.textContent) : {};
    if (window.Soundpost && window.Soundpost.connect) {
        window.Soundpost.positions = positions; // of a page that was put into this one, as htmx and Turbo do
        return;
    }
    const HEADER = 'X-Socket-ID';
    const socketId = () => (window.Echo && window.Echo.socketId ? window.Echo.socketId() : undefined);
    let resumes = false;
    const isSameOrigin = (url) => new URL(url, location.href).origin === location.origin;

    const notLoaded = (missing) =>
        new Error(
            `${missing.map(([library]) => library).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not loaded: add a ` +
                `script tag with ${missing.map(([, file]) => `src="…/${file}"`).join(' and one with ')} before the ` +
                'script that calls Soundpost.connect(), or let the tag that prints the options print this too: libraries=True',
        );

    // Say once why the server does not want this page: with codes from 4000 to 4099 pusher-js gives up, without a word.
    const reportRefusal = (echo, settings) => {
        const connection = echo.connector && echo.connector.pusher && echo.connector.pusher.connection;
        if (!connection) return;
        let reported = false;
        connection.bind('connected', () => {
            reported = false;
        });
        connection.bind('error', (event) => {
            const data = (event && (event.data || (event.error && event.error.data))) || {};
            if (reported || Math.floor(data.code / 100) !== 40) return;
            reported = true;
            const port = settings.forceTLS ? settings.wssPort : settings.wsPort;
            const hint =
                data.code === 4001
                    ? `Is the page's key that of another server or folder? It comes from the application's settings. `
                    : '';
            console.error(
                `Soundpost: the server at ${settings.wsHost}:${port} does not take this page, which does not try ` +
                    `again. ${data.code}: ${data.message}. ${hint}Call 'soundpost doctor' in the application's folder.`,
            );
        });
    };

    window.Soundpost = Object.assign(window.Soundpost || {}, {
        options,
        positions,
        socketId,
        // An Echo with these options, on pages without a bundler: the libraries are loaded by script tags. It resumes,
        // with the options of soundpost-resume in `resume`, unless `resume` is false.
        connect(more) {
            if (window.Echo && window.Echo.connector) {
                if (resumes) window.Soundpost.resume(window.Echo, { positions: window.Soundpost.positions });
                return window.Echo;
            }
            const Echo = window.Echo && window.Echo.default ? window.Echo.default : window.Echo;
            const { resume = true, ...settings } = Object.assign({}, options, more);
            const missing = [];
            if (!settings.Pusher && !settings.client && typeof window.Pusher !== 'function') {
                missing.push(['pusher-js', 'pusher.min.js']);
            }
            if (typeof Echo !== 'function') missing.push(['laravel-echo', 'echo.iife.js']);
            if (resume && resume !== true && !window.Soundpost.resume) {
                missing.push(['soundpost-resume', 'soundpost-resume.min.js']);
            }
            if (missing.length) throw notLoaded(missing);
            window.Echo = new Echo(settings);
            // Other servers, and channels without history, take no notice of what the module adds.
            resumes = !!(resume && window.Soundpost.resume && window.Echo.connector.pusher);
            if (resumes) {
                const wanted = Object.assign({}, window.Soundpost.positions, resume.positions);
                window.Soundpost.resume(window.Echo, Object.assign({}, resume, { positions: wanted }));
            }
            reportRefusal(window.Echo, settings);
            return window.Echo;
        },
    });

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
