import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

const $ = (selector) => document.querySelector(selector);
let echo;

async function api(path, body) {
    const response = await fetch(`/api/${path}`, {
        method: body ? 'POST' : 'GET',
        // The socket id tells the backend whom to leave out of its broadcast: this page has the answer already.
        headers: { 'Content-Type': 'application/json', ...(echo?.socketId() && { 'X-Socket-ID': echo.socketId() }) },
        body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
    return response.json();
}

function show(me, order) {
    let item = $(`#orders [data-id="${order.id}"]`);
    if (!item) {
        item = document.createElement('li');
        item.dataset.id = order.id;
        item.innerHTML = '<div><h2></h2><p class="customer"></p></div><ol></ol><button>Next step</button>';
        item.querySelector('ol').append(...me.steps.map((step) => Object.assign(document.createElement('li'), { textContent: step })));
        item.querySelector('button').onclick = async () => show(me, await api(`orders/${order.id}/next`, {}));
        $('#orders').prepend(item);
    }
    item.querySelector('h2').textContent = order.item;
    item.querySelector('.customer').textContent = `No. ${order.id}${me.serves ? ` for ${order.customer}` : ''}`;
    item.querySelector('button').hidden = !me.serves || order.step === me.steps.length - 1;
    item.querySelectorAll('ol li').forEach((step, number) => {
        step.className = number < order.step ? 'done' : number === order.step ? 'now' : '';
    });
    $('#none').hidden = true;
}

async function load(me) {
    const orders = await api('orders');
    $('#none').hidden = orders.length > 0;
    orders.forEach((order) => show(me, order));
}

async function start() {
    const me = await api('me'); // null before the login
    $('#login').hidden = Boolean(me);
    if (!me) return;
    $('#who').hidden = false;
    $('#order').hidden = me.serves;
    $('#name').textContent = me.name;

    const options = await (await fetch('/broadcasting/config')).json();
    echo = new Echo({ ...options, Pusher });
    echo.connector.onConnectionChange((status) => {
        $('#status').textContent = $('#status').dataset.status = status;
    });
    echo.private(me.channel)
        .subscribed(() => load(me)) // also after a lost connection: what happened meanwhile is in the list
        .listen('OrderChanged', (order) => show(me, order));

    $('#order').onsubmit = async (event) => {
        event.preventDefault();
        const form = event.target;
        show(me, await api('orders', { item: form.item.value }));
        form.reset();
    };
}

$('#login').onsubmit = async (event) => {
    event.preventDefault();
    await fetch('/api/login', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ name: event.target.name.value }),
    });
    await start();
};

await start();
