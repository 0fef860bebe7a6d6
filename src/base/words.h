/* Words that people type. */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>

/* The nearest of n words to `word`, NULL if none is near. */
const char *nearest(const char *word, const char *const *words, size_t n);

#endif
