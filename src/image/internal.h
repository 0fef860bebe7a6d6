/* What the files of this room share; nobody else includes it. */
#ifndef IMAGE_INTERNAL_H
#define IMAGE_INTERNAL_H

#include <jansson.h>

#include "base/digest.h"
#include "image/image.h"

/* The ids an instance's user namespace has: uid_base … uid_base + 65535. */
enum { IMAGE_IDS = 65536, IMAGE_NOBODY = 65534 };

/* Ceilings on documents. */
enum { MANIFEST_MAX = 4 << 20, CONFIG_MAX = 8 << 20 };

struct image_store {
    char *dir;
    char *authfile; /* passwords of registries, or NULL */
    uid_t uid_base;
    int root, tmp, layers, blobs, refs; /* descriptors of the folders */
};

/* A new name below tmp/, relative to s->root; the caller's. */
char *store_tmp_name(void);
/* Takes the store's lock until the descriptor is closed: shared for whoever relies on something
 * being there, exclusive for whoever removes. Held for milliseconds only. */
int store_lock(struct image_store *s, bool exclusive, int *ret, struct err *err);
/* Writes a small file whole: in tmp/, synced, renamed to `path` (relative to the store). The
 * folder is not synced yet: see store_sync. */
int store_put(struct image_store *s, const char *path, struct str data, struct err *err);
int store_sync(int dir, struct err *err);
/* The names in a folder of the store but "." and ".."; appends. */
int store_names(int folder, struct strv *ret, struct err *err);
/* Keeps `path` (relative to the store) from the collector for its grace time; false if it is not
 * there. Under the shared lock. */
bool store_touch(struct image_store *s, const char *path);
/* Writes a blob, or touches the one that is there. Under the shared lock. */
int store_put_blob(struct image_store *s, struct str data, char ret_digest[DIGEST_LEN + 1],
                   struct err *err);
/* Reads a blob of at most `max` bytes and checks it against its digest. ERR_NOT_FOUND. */
int store_get_blob(struct image_store *s, const char *digest, size_t max, struct buf *ret,
                   struct err *err);

/* What describes a layer besides its folder: the file layers/<hex>.tar. */
enum layer_kind {
    LAYER_SEALED,   /* its tar is the one tree.h makes of the folder */
    LAYER_IMPORTED, /* its tar is made from layers/<hex>.recipe and the folder: see recipe.h */
};

struct layer_info {
    enum layer_kind kind;
    uint64_t tar_size;
};

bool layer_exists(struct image_store *s, const char *diff_id);
int layer_info_get(struct image_store *s, const char *diff_id, struct layer_info *ret,
                   struct err *err);
/* Syncs what is in the folder `dir` (below tmp/) and makes it the layer `diff_id`; removes `dir` if
 * that is there already. `recipe`: a file below tmp/ for LAYER_IMPORTED, else NULL.
 * `files`: how many there are, which decides how they are synced. */
int layer_publish(struct image_store *s, const char *dir, const char *diff_id,
                  const struct layer_info *info, const char *recipe, uint64_t files,
                  struct err *err);

/* -ERR_CANCELLED once image_interrupt_on says so. To be asked every few hundred KiB. */
int image_interrupted(struct err *err);

/* registry.c: fetches "docker://…" with skopeo into the layout `layout`, tagged "image"; `tmp` is a
 * folder for what it needs meanwhile. limits: of each layer, which may be packed; or NULL. */
int registry_fetch(struct image_store *s, const char *source, const struct unpack_limits *limits,
                   const char *tmp, const char *layout, struct err *err);

/* config.c: the OCI image configuration. */
/* The JSON of i's configuration on this machine's architecture. */
char *config_encode(const struct image *i);
/* Fills all of `ret` but its digest. */
int config_decode(struct str json, struct image *ret, struct err *err);
/* This machine's architecture in OCI's words (Go's GOARCH): "amd64". */
const char *config_host_arch(void);

/* manifest.c */
/* Writes the manifest for a configuration that may come from elsewhere, byte for byte. */
int manifest_write(struct image_store *s, struct str config, const struct image *i,
                   char **ret_digest, struct err *err);
/* Follows a ref or digest to its manifest's digest. */
int manifest_resolve(struct image_store *s, const char *ref, char ret[DIGEST_LEN + 1],
                     struct err *err);
int manifest_read(struct image_store *s, const char *digest, json_t **ret, struct err *err);

#endif
