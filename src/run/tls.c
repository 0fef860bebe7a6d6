#include "run/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>

struct tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t trust; /* in nobody: nothing is verified */
    struct str came;                        /* of this step, what isn't taken yet */
    struct buf *out;                        /* of this step */
    struct buf request;
    bool talking; /* the handshake is done */
};

static int fail(int code, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "%s", gnutls_strerror(code));
}

static ssize_t send_bytes(gnutls_transport_ptr_t ctx, const void *data, size_t n)
{
    struct tls *t = ctx;
    buf_add(t->out, data, n);
    return (ssize_t)n;
}

static ssize_t take_bytes(gnutls_transport_ptr_t ctx, void *data, size_t size)
{
    struct tls *t = ctx;
    size_t n = MIN(size, t->came.len);
    if (!n) {
        gnutls_transport_set_errno(t->session, EAGAIN);
        return -1;
    }
    memcpy(data, t->came.ptr, n);
    t->came.ptr += n;
    t->came.len -= n;
    return (ssize_t)n;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    if (t->session)
        gnutls_deinit(t->session);
    if (t->trust)
        gnutls_certificate_free_credentials(t->trust);
    buf_release(&t->request);
    free(t);
}

DEFINE_CLEANUP(struct tls *, tls_free)

struct tls *tls_new(const char *name, struct str request, struct err *err)
{
    _cleanup_(tls_freep) struct tls *t = xcalloc(1, sizeof(*t));
    t->request = BUF_CAP(request.len + 1);
    buf_add(&t->request, request.ptr, request.len);
    int r = gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (!r)
        r = gnutls_certificate_allocate_credentials(&t->trust);
    if (!r)
        r = gnutls_set_default_priority(t->session);
    if (!r)
        r = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->trust);
    if (!r && name)
        r = gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, name, strlen(name));
    if (r < 0) {
        fail(r, err);
        return NULL;
    }
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_push_function(t->session, send_bytes);
    gnutls_transport_set_pull_function(t->session, take_bytes);
    return TAKE_PTR(t);
}

static bool again(int code) { return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED; }

/* True once it is done and the request is on its way. */
static int shake_hands(struct tls *t, struct err *err)
{
    int r = gnutls_handshake(t->session);
    while (r < 0 && !gnutls_error_is_fatal(r) && !again(r)) /* a warning */
        r = gnutls_handshake(t->session);
    if (r < 0)
        return again(r) ? 0 : fail(r, err);
    t->talking = true;
    for (size_t done = 0; done < t->request.len;) {
        ssize_t n = gnutls_record_send(t->session, t->request.ptr + done, t->request.len - done);
        if (n < 0)
            return fail((int)n, err);
        done += (size_t)n;
    }
    return 0;
}

int tls_step(struct tls *t, struct str came, struct buf *out, struct buf *answer, struct err *err)
{
    char chunk[4096];
    t->came = came;
    t->out = out;
    int r = t->talking ? 0 : shake_hands(t, err);
    if (r < 0 || !t->talking)
        return r;
    for (;;) {
        ssize_t n = gnutls_record_recv(t->session, chunk, sizeof(chunk));
        if (n == 0)
            return 1;
        if (n > 0)
            buf_add(answer, chunk, (size_t)n);
        else if (again((int)n))
            return 0;
        else if (gnutls_error_is_fatal((int)n))
            return fail((int)n, err);
    }
}
