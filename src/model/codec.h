/* One table a noun: how its struct and its JSON document belong together. Decoding, validation of
 * types, encoding, releasing and comparing all come from that table. */
#ifndef MODEL_CODEC_H
#define MODEL_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum field_type {
    FIELD_STRING, /* char *; NULL or "" is left out of the document */
    FIELD_INT,    /* int64_t; 0 is left out */
    FIELD_BOOL,   /* bool; false is left out */
    FIELD_ENUM,   /* int: index into names[], NULL-terminated; always written */
    FIELD_STRV,   /* struct strv: ["a","b"] */
    FIELD_MAP,    /* struct map: {"A":"1"} */
    FIELD_COUNTS, /* struct counts: {"web":2} */
    FIELD_LIST,   /* struct list of the noun `of`: [{…},…] */
};

struct schema;

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    bool required;
    const char *const *names, *const *docs; /* of FIELD_ENUM; docs may be NULL */
    const struct schema *of;
    const char *doc; /* may be NULL */
};

/* Who may write a noun, and who may take it from one state to another (model/writers.h). */
struct writer {
    const char *who; /* an operator */
    enum { WRITES = 1, DELETES } may;
    const char *const
        *fields; /* of WRITES: only these, of what is there; none: all. Ended by NULL */
};
struct transition {
    const char *who;
    int from, to;
};

/* Of documents that aren't in the store only the first three are set. */
struct schema {
    const char *noun; /* for messages: "release" */
    size_t size;
    const struct field *fields;   /* ended by one without a name */
    const char *doc;              /* what it is */
    const char *key, *key_params; /* printf's format, and what it takes; NULL: in another noun */
    const struct writer *writers; /* ended by one without a name */
    const struct transition *transitions; /* of `state`, ended by one without a name; none: any */
};

/* Names to texts, in the order of the document. */
struct map {
    struct pair {
        char *name, *value;
    } * items;
    size_t n;
};

const char *map_get(const struct map *m, const char *name); /* NULL: not there */
void map_set(struct map *m, const char *name, const char *value);
bool map_unset(struct map *m, const char *name); /* whether it was there */
void map_copy(struct map *ret, const struct map *from);
void map_release(struct map *m);

/* Names to whole numbers. */
struct counts {
    struct count {
        char *name;
        int64_t n;
    } * items;
    size_t n;
};

int64_t counts_get(const struct counts *c, const char *name, int64_t otherwise);
void counts_set(struct counts *c, const char *name, int64_t n);
void counts_release(struct counts *c);

/* A list of structs of one noun; `items` is an array of n elements. */
struct list {
    void *items;
    size_t n;
};

void *list_add(struct list *l, size_t size); /* a new zeroed element at the end */
#define list_at(l, type, i) (&((type *)(l)->items)[i])

/* Fills *ret (which the caller has zeroed) from a document of at most 1 MiB and 32 levels; unknown
 * fields are ignored, so that an older program reads a newer one's documents. On error *ret is
 * released. ERR_INVALID names the field: "release: field 'processes[0].port': a whole number is
 * needed". */
int model_decode(const struct schema *s, struct str json, void *ret, struct err *err);
/* Appends the document, fields in the order of the table: equal structs give equal texts. */
void model_encode(const struct schema *s, const void *value, struct buf *ret);
/* Frees what the struct owns and zeroes it. */
void model_release(const struct schema *s, void *value);
/* A deep copy into *ret. */
void model_copy(const struct schema *s, const void *value, void *ret);
bool model_equal(const struct schema *s, const void *a, const void *b);

#endif
