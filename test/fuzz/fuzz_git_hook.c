/* What git's hook parses: ref lines, a tar as it passes by, HTTP answers. The first byte chooses;
 * the second is how large the pieces are. */
#include "git/hook/answer.h"
#include "git/hook/refs.h"
#include "git/hook/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fuzz_refs(const char *text, size_t n)
{
    struct decision d;
    struct err err;
    if (decide((struct str){text, n}, "", &d, &err) == 0 && d.commit && !d.accept)
        abort();
    decision_release(&d);
    decide((struct str){text, n}, "main", &d, &err);
    decision_release(&d);
}

static void fuzz_tar(const char *data, size_t n, size_t piece)
{
    struct tar_scan whole = {0}, pieces = {0};
    tar_scan(&whole, data, n);
    tar_scan_end(&whole);
    for (size_t at = 0; at < n; at += piece)
        tar_scan(&pieces, data + at, MIN(piece, n - at));
    tar_scan_end(&pieces);
    if (!whole.submodule != !pieces.submodule ||
        (whole.submodule && !streq(whole.submodule, pieces.submodule)))
        abort();
    tar_scan_release(&whole);
    tar_scan_release(&pieces);
}

static void fuzz_answer(const char *data, size_t n, size_t piece)
{
    struct answer a;
    struct buf body = BUF_INIT;
    answer_init(&a);
    for (size_t at = 0; at < n; at += piece)
        if (answer_feed(&a, data + at, MIN(piece, n - at), &body, NULL) < 0)
            break;
    if (body.len > n)
        abort();
    answer_release(&a);
    buf_release(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    const char *rest = (const char *)data + 2;
    size_t piece = (size_t)data[1] + 1;
    switch (data[0] % 3) {
    case 0: fuzz_refs(rest, n - 2); break;
    case 1: fuzz_tar(rest, n - 2, piece); break;
    default: fuzz_answer(rest, n - 2, piece); break;
    }
    return 0;
}
