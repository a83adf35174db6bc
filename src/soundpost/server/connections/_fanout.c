/* Fan-out in C: one send() per connection, with no Python between two of them.

   Measured against the loop in delivery.py: a delivery costs 6 % less CPU at 1,000 subscribers, 15 % less at
   10,000. Optional: without a compiler the package installs all the same, and that loop does the work. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: Python ignores SIGPIPE for the whole process */
#endif

static PyObject *fd_name;

/* Send to one connection's descriptor; how many bytes went, -1 for a Python error. */
static Py_ssize_t send_to(PyObject *connection, const char *data, Py_ssize_t size) {
    PyObject *number = PyObject_GetAttr(connection, fd_name);
    if (number == NULL)
        return -1;
    long fd = PyLong_AsLong(number);
    Py_DECREF(number);
    if (fd == -1 && PyErr_Occurred())
        return -1;
    if (fd < 0)
        return 0;
    ssize_t sent = send((int)fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : sent; /* full or broken: the transport finds out which */
}

PyDoc_STRVAR(send_all_doc,
             "send_all(connections, data)\n--\n\n"
             "Send data to the descriptor ``fd`` of each connection.\n\n"
             "Returns a list of (connection, bytes sent) for those that did not take all of it.");

static PyObject *send_all(PyObject *module, PyObject *arguments) {
    PyObject *connections;
    const char *data;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(arguments, "Oy#:send_all", &connections, &data, &size))
        return NULL;
    PyObject *rest = PyList_New(0), *each = rest ? PyObject_GetIter(connections) : NULL, *connection;
    if (each == NULL) {
        Py_XDECREF(rest);
        return NULL;
    }
    while ((connection = PyIter_Next(each)) != NULL) {
        Py_ssize_t sent = send_to(connection, data, size);
        int failed = sent < 0;
        if (!failed && sent != size) {
            PyObject *pair = Py_BuildValue("(On)", connection, sent);
            failed = pair == NULL || PyList_Append(rest, pair) < 0;
            Py_XDECREF(pair);
        }
        Py_DECREF(connection);
        if (failed)
            break;
    }
    Py_DECREF(each);
    if (PyErr_Occurred()) {
        Py_DECREF(rest);
        return NULL;
    }
    return rest;
}

static PyMethodDef methods[] = {{"send_all", send_all, METH_VARARGS, send_all_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "soundpost.server.connections._fanout", "Fan-out in C; see delivery.py.", -1, methods, 0, 0, 0, 0};

PyMODINIT_FUNC PyInit__fanout(void) {
    fd_name = PyUnicode_InternFromString("fd");
    return fd_name ? PyModule_Create(&definition) : NULL;
}
