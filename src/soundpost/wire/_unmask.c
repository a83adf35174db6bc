/* Unmasking of a client's bytes in C (RFC 6455, 5.3). Optional: without a compiler the function of frames.py does it.

   Measured for 75 bytes: 0.67 µs in Python, 0.14 here; for 10 kB: 25 µs and 1. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

PyDoc_STRVAR(unmask_doc,
             "unmask(payload, mask)\n--\n\n"
             "Return payload XOR the repeated four-byte mask, as bytes.");

static PyObject *unmask(PyObject *module, PyObject *arguments) {
    Py_buffer payload, mask;
    if (!PyArg_ParseTuple(arguments, "y*y*:unmask", &payload, &mask))
        return NULL;
    PyObject *plain = NULL;
    if (mask.len != 4)
        PyErr_SetString(PyExc_ValueError, "a mask has four bytes");
    else
        plain = PyBytes_FromStringAndSize(NULL, payload.len);
    if (plain != NULL) {
        const unsigned char *from = payload.buf, *key = mask.buf;
        char *to = PyBytes_AsString(plain);
        Py_ssize_t i = 0;
        uint64_t word, keys;
        memcpy(&keys, key, 4);
        memcpy((char *)&keys + 4, key, 4);
        for (; i + 8 <= payload.len; i += 8) {
            memcpy(&word, from + i, 8);
            word ^= keys;
            memcpy(to + i, &word, 8);
        }
        for (; i < payload.len; i++)
            to[i] = (char)(from[i] ^ key[i & 3]);
    }
    PyBuffer_Release(&payload);
    PyBuffer_Release(&mask);
    return plain;
}

static PyMethodDef methods[] = {{"unmask", unmask, METH_VARARGS, unmask_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "soundpost.wire._unmask", "Unmasking in C; see frames.py.", -1, methods, 0, 0, 0, 0};

PyMODINIT_FUNC PyInit__unmask(void) {
    return PyModule_Create(&definition);
}
