import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import './style.css';

window.Pusher = Pusher;
window.Echo = new Echo(window.Soundpost.options); // where to connect, and as whom to ask: from {% soundpost %}

const { room, user, name } = document.querySelector('.chat').dataset;
const $ = (id) => document.getElementById(id);
const element = (tag, text = '', properties = {}) => Object.assign(document.createElement(tag), { textContent: text, ...properties });
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

window.Echo.connector.signin(); // so that the server knows who is online, and tells chat/webhooks.py
window.Echo.connector.onConnectionChange((status) => { $('status').textContent = status; });

let lastWhisper = 0;

// Messages

function show({ author, text, at }) {
    const item = element('li', '', { className: author === name ? 'mine' : '' });
    item.dataset.author = author;
    item.append(element('b', author), element('time', clock(at)), element('p', text));
    $('messages').append(item);
    item.scrollIntoView();
}

$('say').addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    const answer = await fetch(form.action, {
        method: 'POST',
        headers: { 'X-CSRFToken': window.Soundpost.options.csrfToken },
        body: new URLSearchParams(new FormData(form)),
    });
    if (!answer.ok) {
        $('status').textContent = `not sent (${answer.status}): reload the page`; // logged out, or in anew, by another tab
        return;
    }
    form.reset();
    lastWhisper = 0;
    show(await answer.json()); // the others get it by Echo; we do not, as the request has our X-Socket-ID
});

// Who is here, what they say, who is about to

const members = new Map();
const typing = new Map();

function showMembers() {
    const names = [...members.values()].sort();
    $('members').replaceChildren(...names.map((each) => element('li', each, { className: each === name ? 'me' : '' })));
}

function showTyping() {
    const names = [...typing.keys()].sort();
    $('typing').textContent = names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing …` : '';
}

function hasStopped(who) {
    clearTimeout(typing.get(who));
    typing.delete(who);
    showTyping();
}

const channel = window.Echo.join(`rooms.${room}`)
    .here((all) => { all.forEach((each) => members.set(each.name, each.name)); showMembers(); })
    .joining((each) => { members.set(each.name, each.name); showMembers(); })
    .leaving((each) => { members.delete(each.name); hasStopped(each.name); showMembers(); })
    .listen('.MessageCreated', ({ model }) => { hasStopped(model.author); show(model); })
    .listenForWhisper('typing', ({ name: who }) => {
        clearTimeout(typing.get(who));
        typing.set(who, setTimeout(hasStopped, 3000, who));
        showTyping();
    });

$('say').addEventListener('input', () => {
    if (Date.now() - lastWhisper < 1000) return;
    lastWhisper = Date.now();
    channel.whisper('typing', { name });
});

// Notifications: of any room, wherever we are

window.Echo.private(`App.Models.User.${user}`).notification((notification) => {
    const link = element('a', '', { href: `/rooms/${notification.room}` });
    link.append(element('b', `${notification.by} mentioned you in ${notification.room}`), element('p', notification.text));
    $('notifications').append(link);
    setTimeout(() => link.remove(), 10_000);
});

document.querySelectorAll('time[datetime]').forEach((each) => { each.textContent = clock(each.dateTime); });
$('messages').lastElementChild?.scrollIntoView();
