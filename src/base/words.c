#include "base/words.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { WORD_MAX = 40 };

/* Damerau's distance, without looking at words longer than anybody mistypes. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = MIN(MIN(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t least = MIN(strlen(word) / 3 + 1, (size_t)3) + 1;
    for (size_t i = 0; i < n; i++) {
        bool begun = strlen(word) > 1 && !strncmp(word, words[i], strlen(word));
        size_t d = begun ? 0 : distance(word, words[i]);
        if (d < least && d < strlen(words[i])) {
            least = d;
            best = words[i];
        }
    }
    return best;
}
