/* Whole requests in C: one call for a request, none for each header field.

   Measured: 0.7 µs for a publish with three headers, where llhttp and its callbacks take 4.3. Optional: without a compiler
   the package installs all the same, and whole_request.py has the same function in Python.

   Request smuggling is the risk of a second parser. So nothing is interpreted here that could be read in two ways:
   what is not on the list of known forms is not read (None), and llhttp decides. Tests compare the two. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <string.h>

#define MAX_FIELDS 64
#define MAX_DIGITS 9

enum { NAME = 1, TARGET = 2, VALUE = 4, BASE64 = 8 }; /* classes of bytes */

static unsigned char classes[256];
static char lower[256];
static PyObject *methods_known[3];
static const char *const method_names[3] = {"GET", "POST", "DELETE"};

struct text {
    const char *start;
    Py_ssize_t size;
};

struct field {
    struct text name, value;
};

struct whole {
    int method;
    struct text path, query, head, body; /* head: the lines of the fields */
    struct text key;                     /* value of Idempotency-Key; without a start if there is none */
    struct text origin, extensions, websocket_key; /* of a handshake, likewise */
    int is_version_13, names_client;
    struct field *fields;                /* MAX_FIELDS of them */
    int count, hosts, lengths, connections, upgrades;
    int closes, asks_upgrade;
    Py_ssize_t length;
};

/* Tell whether a text is a known one, which is in lower case, whatever the case of its own letters. */
static int is(struct text text, const char *known) {
    Py_ssize_t size = (Py_ssize_t)strlen(known);
    if (text.size != size)
        return 0;
    for (Py_ssize_t i = 0; i < size; i++)
        if (lower[(unsigned char)text.start[i]] != known[i])
            return 0;
    return 1;
}

/* Return the position behind all bytes of a class. */
static const char *skip(const char *at, const char *end, int class) {
    while (at < end && classes[(unsigned char)*at] & class)
        at++;
    return at;
}

/* Read a Content-Length without leading zeros; -1 for any other. */
static Py_ssize_t read_length(struct text value) {
    Py_ssize_t length = 0;
    if (value.size > MAX_DIGITS || (value.size > 1 && value.start[0] == '0'))
        return -1;
    for (Py_ssize_t i = 0; i < value.size; i++) {
        if (value.start[i] < '0' || value.start[i] > '9')
            return -1;
        length = length * 10 + (value.start[i] - '0');
    }
    return length;
}

/* Note what a field says of the message itself; 0 if that is for llhttp to decide. */
static int note(struct whole *whole, struct text name, struct text value) {
    switch (name.size) {
    case 4:
        whole->hosts += is(name, "host");
        return 1;
    case 6:
        if (is(name, "origin"))
            whole->origin = value;
        return !is(name, "expect");
    case 7:
        if (!is(name, "upgrade"))
            return 1;
        whole->upgrades++;
        return is(value, "websocket");
    case 9:
        whole->names_client |= is(name, "forwarded") || is(name, "x-real-ip");
        return 1;
    case 10:
        if (!is(name, "connection"))
            return 1;
        whole->connections++;
        whole->closes = is(value, "close");
        whole->asks_upgrade = is(value, "upgrade") || is(value, "keep-alive, upgrade");
        return whole->closes || whole->asks_upgrade || is(value, "keep-alive");
    case 14:
        if (!is(name, "content-length"))
            return 1;
        whole->lengths++;
        whole->length = read_length(value);
        return whole->length >= 0;
    case 15:
        if (is(name, "idempotency-key"))
            whole->key = value;
        whole->names_client |= is(name, "x-forwarded-for");
        return 1;
    case 16:
        return !is(name, "proxy-connection");
    case 17:
        if (is(name, "sec-websocket-key"))
            whole->websocket_key = value;
        return !is(name, "transfer-encoding");
    case 21:
        if (is(name, "sec-websocket-version"))
            whole->is_version_13 = is(value, "13");
        return 1;
    case 24:
        if (is(name, "sec-websocket-extensions"))
            whole->extensions = value;
        return 1;
    default:
        return 1;
    }
}

/* Tell whether two fields have the same name. */
static int has_repeated(const struct whole *whole) {
    for (int i = 1; i < whole->count; i++)
        for (int j = 0; j < i; j++) {
            struct text one = whole->fields[i].name, other = whole->fields[j].name;
            Py_ssize_t at = 0;
            if (one.size != other.size)
                continue;
            while (at < one.size && lower[(unsigned char)one.start[at]] == lower[(unsigned char)other.start[at]])
                at++;
            if (at == one.size)
                return 1;
        }
    return 0;
}

/* Read request line, fields and body; 0 if the data is anything but one whole request of known form. */
static int read_whole_text(struct whole *whole, const char *data, Py_ssize_t size, Py_ssize_t max_head,
                           Py_ssize_t max_body) {
    const char *at = data, *end = data + size;
    for (whole->method = 0; whole->method < 3; whole->method++) {
        Py_ssize_t length = (Py_ssize_t)strlen(method_names[whole->method]);
        if (size > length && memcmp(data, method_names[whole->method], length) == 0 && data[length] == ' ') {
            at += length + 1;
            break;
        }
    }
    if (whole->method == 3 || at == end || *at != '/')
        return 0;
    const char *target = at;
    at = skip(at, end, TARGET);
    const char *mark = memchr(target, '?', at - target);
    whole->path = (struct text){target, (mark ? mark : at) - target};
    whole->query = mark ? (struct text){mark + 1, at - mark - 1} : (struct text){at, 0};
    Py_ssize_t head = at - target; /* counted as request_reader.py counts it */
    if (end - at < 11 || memcmp(at, " HTTP/1.1\r\n", 11) != 0)
        return 0;
    at += 11;
    whole->head.start = at;
    while (at < end && *at != '\r') {
        if (whole->count == MAX_FIELDS)
            return 0;
        struct field *field = &whole->fields[whole->count++];
        field->name.start = at;
        at = skip(at, end, NAME);
        field->name.size = at - field->name.start;
        if (field->name.size == 0 || at == end || *at != ':')
            return 0;
        at++;
        if (at < end && *at == ' ')
            at++;
        field->value.start = at;
        at = skip(at, end, VALUE);
        field->value.size = at - field->value.start;
        if (field->value.size == 0 || *field->value.start == ' ' || at[-1] == ' ')
            return 0;
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n')
            return 0;
        at += 2;
        head += field->name.size + field->value.size + 4;
        if (!note(whole, field->name, field->value))
            return 0;
    }
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return 0;
    whole->head.size = at - whole->head.start;
    at += 2;
    if (head > max_head || at - data > max_head)
        return 0;
    if (whole->hosts != 1 || whole->lengths > 1 || whole->connections > 1 || whole->upgrades > 1)
        return 0;
    if (whole->upgrades != whole->asks_upgrade || (whole->upgrades && (whole->lengths || whole->method != 0)))
        return 0;
    whole->body = (struct text){at, end - at};
    return whole->body.size == whole->length && whole->length <= max_body && !has_repeated(whole);
}

static PyObject *bytes_of(struct text text) { return PyBytes_FromStringAndSize(text.start, text.size); }

static PyObject *bytes_or_none(struct text text) { return text.start == NULL ? Py_NewRef(Py_None) : bytes_of(text); }

/* Tell whether a request for a WebSocket has the right version, and a key that is 16 bytes in base64. */
static int opens_websocket(const struct whole *whole) {
    const char *key = whole->websocket_key.start;
    return whole->upgrades && whole->is_version_13 && whole->websocket_key.size == 24 &&
           skip(key, key + 22, BASE64) == key + 22 && key[22] == '=' && key[23] == '=';
}

static PyObject *handshake_of(const struct whole *whole) {
    if (!opens_websocket(whole))
        return Py_NewRef(Py_None);
    PyObject *key = bytes_of(whole->websocket_key), *origin = bytes_or_none(whole->origin), *made = NULL;
    PyObject *extensions = bytes_of(whole->extensions);
    if (key != NULL && origin != NULL && extensions != NULL)
        made = PyTuple_Pack(4, key, origin, extensions, whole->names_client ? Py_True : Py_False);
    Py_XDECREF(key);
    Py_XDECREF(origin);
    Py_XDECREF(extensions);
    return made;
}

static PyObject *lower_case(struct text text) {
    PyObject *made = PyBytes_FromStringAndSize(NULL, text.size);
    if (made != NULL) {
        char *into = PyBytes_AsString(made);
        for (Py_ssize_t i = 0; i < text.size; i++)
            into[i] = lower[(unsigned char)text.start[i]];
    }
    return made;
}

PyDoc_STRVAR(read_fields_doc,
             "read_fields(head)\n--\n\n"
             "Return the values by lower-case name of the lines of fields that read_whole() has returned.");

static PyObject *read_fields(PyObject *module, PyObject *head) {
    char *at;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(head, &at, &size) < 0)
        return NULL;
    PyObject *fields = PyDict_New();
    const char *end = at + size, *colon, *line_end;
    while (fields != NULL && at < end && (colon = memchr(at, ':', end - at)) != NULL &&
           (line_end = memchr(colon, '\r', end - colon)) != NULL) {
        const char *start = colon + 1 + (colon[1] == ' ');
        PyObject *name = lower_case((struct text){at, colon - at});
        PyObject *value = bytes_of((struct text){start, line_end - start});
        if (name == NULL || value == NULL || PyDict_SetItem(fields, name, value) < 0)
            Py_CLEAR(fields);
        Py_XDECREF(name);
        Py_XDECREF(value);
        at = (char *)line_end + 2;
    }
    return fields;
}

PyDoc_STRVAR(read_whole_doc,
             "read_whole(data, max_head_size, max_request_size)\n--\n\n"
             "Read bytes that are exactly one whole request of a known form; return None for any others.\n\n"
             "Returns (method, path, query, lines of the fields, body, keep-alive, asks for a WebSocket, idempotency key,\n"
             "handshake). The handshake is (key, origin, extensions, names a client's address), or None.");

static PyObject *read_whole(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 3 || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "read_whole() takes bytes and two numbers");
        return NULL;
    }
    Py_ssize_t max_head = PyLong_AsSsize_t(arguments[1]), max_body = PyLong_AsSsize_t(arguments[2]), size;
    char *data;
    if (PyErr_Occurred() || PyBytes_AsStringAndSize(arguments[0], &data, &size) < 0)
        return NULL;
    struct field fields[MAX_FIELDS];
    struct whole whole = {.fields = fields};
    if (!read_whole_text(&whole, data, size, max_head, max_body))
        Py_RETURN_NONE;
    PyObject *path = PyUnicode_DecodeASCII(whole.path.start, whole.path.size, NULL);
    PyObject *query = PyUnicode_DecodeASCII(whole.query.start, whole.query.size, NULL);
    PyObject *head = bytes_of(whole.head), *body = bytes_of(whole.body), *result = NULL;
    PyObject *key = bytes_or_none(whole.key), *handshake = handshake_of(&whole);
    if (path != NULL && query != NULL && head != NULL && body != NULL && key != NULL && handshake != NULL)
        result = PyTuple_Pack(9, methods_known[whole.method], path, query, head, body,
                              whole.closes ? Py_False : Py_True, whole.upgrades ? Py_True : Py_False, key, handshake);
    Py_XDECREF(path);
    Py_XDECREF(query);
    Py_XDECREF(head);
    Py_XDECREF(body);
    Py_XDECREF(key);
    Py_XDECREF(handshake);
    return result;
}

static void add_class(const char *members, int class) {
    for (; *members; members++)
        classes[(unsigned char)*members] |= class;
}

static PyMethodDef methods[] = {
    {"read_whole", (PyCFunction)(void (*)(void))read_whole, METH_FASTCALL, read_whole_doc},
    {"read_fields", read_fields, METH_O, read_fields_doc},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "soundpost.server.connections._wholerequest",
                                        "Whole requests in C; see whole_request.py.",
                                        -1,
                                        methods,
                                        0,
                                        0,
                                        0,
                                        0};

PyMODINIT_FUNC PyInit__wholerequest(void) {
    const char *letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    add_class(letters, NAME | TARGET | BASE64);
    add_class("+/", BASE64);
    add_class("!#$%&'*+-.^_`|~", NAME);          /* RFC 9110, 5.6.2 */
    add_class("-._~!$&'()*+,;=:@%/?", TARGET);   /* RFC 3986, 3.3 and 3.4 */
    for (int byte = 0; byte < 256; byte++) {
        lower[byte] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
        if (byte >= ' ' && byte <= '~')
            classes[byte] |= VALUE;
    }
    for (int i = 0; i < 3; i++)
        if (methods_known[i] == NULL && (methods_known[i] = PyBytes_FromString(method_names[i])) == NULL)
            return NULL;
    return PyModule_Create(&definition);
}
