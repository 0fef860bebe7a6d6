/* Images: an OCI layout whose layers also stand unpacked, ready to be an instance's root.
 *
 * Below the images folder (see image_store_open):
 *
 *   layers/HEX/        a layer unpacked; HEX is its diff_id, the sha256 of its uncompressed tar.
 *                      Immutable. Owners are shifted by uid_base; deletions stand as overlayfs
 *                      whiteouts (character device 0/0) and opaque folders (xattr
 *                      trusted.overlay.opaque=y): mount it with redirect_dir=off,metacopy=off
 *   layers/HEX.tar     how to make its tar again, and its size
 *   layers/HEX.recipe  of a layer that came from elsewhere: all of its tar but the files' content
 *   blobs/sha256/      manifests and configurations (OCI image-spec 1.1)
 *   refs/NAME          "stack-run", "stack-build", …: a manifest digest; roots for the collector
 *   tmp/               unfinished work; emptied at start by the process that owns the store
 *
 * Everything is written into tmp/, synced and renamed: a layer or blob that is there is whole,
 * after kill -9 and power loss alike. Several processes may use one image store, each with an
 * image_store of its own or one between its threads; writers don't disturb readers.
 *
 * A layer born here (image_layer_seal) gets the diff_id of the deterministic tar it would have, and
 * the manifest names that tar (application/vnd.oci.image.layer.v1.tar): the image is a true OCI
 * image whose layer blobs are made only when something must leave the machine (image_export). An
 * image that came from elsewhere keeps its configuration byte for byte and its layers' diff_ids. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct image_store;

/* Bounds on what an unpacked archive may hold; 0 takes the default. */
struct unpack_limits {
    uint64_t bytes;   /* default 32 GiB of file content */
    uint64_t entries; /* default 4 million */
    const char *hint; /* to who meets the bounds, or NULL */
    uid_t owner;      /* not 0: everything belongs to this user and group (before the shift by
                         uid_base), whatever the archive says: source trees belong to `app` */
};

/* Opens the store at `dir`, made if missing. uid_base: what is added to every owner on disk. */
int image_store_open(const char *dir, uid_t uid_base, struct image_store **ret, struct err *err);
void image_store_close(struct image_store *s);
DEFINE_CLEANUP(struct image_store *, image_store_close)
/* Removes from tmp/ what processes left there that are gone; at the start of one. */
int image_store_clean(struct image_store *s, struct err *err);
/* From here on, what the calling thread asks of this room ends with ERR_CANCELLED soon after *flag
 * is true. NULL: never, as at first. */
void image_interrupt_on(const volatile bool *flag);
/* Where passwords of registries are, as `skopeo login --authfile` writes them; the file needn't be
 * there. */
void image_store_authfile(struct image_store *s, const char *path);
const char *image_store_dir(const struct image_store *s);
/* The folder of a layer, "<dir>/layers/<hex>"; the caller's to free. Not checked to exist. */
char *image_layer_path(const struct image_store *s, const char *diff_id);

/* What a process of the image runs with by default, and its layers. Strings owned by the struct. */
struct image {
    char *digest;         /* of the manifest, "sha256:…" */
    struct strv diff_ids; /* bottom layer first, "sha256:…"; one may occur twice */
    struct strv env;      /* "NAME=value" */
    struct strv entrypoint, cmd;
    char *user;         /* "", "uid", "name", "uid:gid", "name:group" */
    char *workdir;      /* "" or absolute */
    struct strv ports;  /* "8080/tcp", from EXPOSE */
    char *stop_signal;  /* "" or a name or number */
    char *healthcheck;  /* Docker's Healthcheck object as JSON, NULL if there is none */
    struct strv labels; /* "name=value" */
};

void image_release(struct image *i);
/* `ref`: a manifest digest "sha256:…" or the name of a ref. ERR_NOT_FOUND. Every layer is there on
 * success. */
int image_get(struct image_store *s, const char *ref, struct image *ret, struct err *err);

/* A new folder below tmp/ for work that will become a layer; the caller's to free. Mode 0755, owned
 * by uid_base. */
int image_tmp_dir(struct image_store *s, char **ret, struct err *err);
/* Unpacks a tar (plain, gzip, zstd, xz, bzip2) read from `fd` to its end into the folder `dir`,
 * which no entry can leave, by path, symbolic link or hard link. Owners are shifted, those beyond
 * 65535 become nobody; of extended attributes user.* are kept; folders that are missing on the way
 * are made. Device nodes are refused, and ".." in a name; a leading "/" is dropped. With
 * `whiteouts`, `.wh.` entries become overlayfs whiteouts; without, they are files like others.
 *
 * `like` (or NULL): a folder below layers/. A regular file of the same path, mode, owner and
 * content is hard-linked from there instead of written, and keeps its time. So what is unpacked
 * with `like` must only be sealed, or be seen through an overlay: whoever writes into one of its
 * files writes into that layer.
 *
 * ERR_INVALID for what is hostile, broken or cut off, naming the entry; ERR_TOO_LARGE past the
 * limits; ERR_NO_SPACE. What was unpacked until then is left in `dir`, for the caller to remove.
 * Blocks while `fd` gives nothing. */
int image_unpack(struct image_store *s, int fd, const char *dir, bool whiteouts, const char *like,
                 const struct unpack_limits *limits, struct err *err);
/* Makes the folder `dir` (below tmp/) the layer of what is in it: computes its diff_id, syncs and
 * renames it. If that layer is there already, `dir` is removed. Nobody may write into `dir` any
 * more. Every owner in it must be within uid_base … uid_base + 65535, so chown what you put there
 * as root. ERR_INVALID, naming the file, for that and for device nodes and names starting with
 * ".wh."; sockets are left out. On failure `dir` stays. `ret_diff_id` is the caller's. */
int image_layer_seal(struct image_store *s, const char *dir, char **ret_diff_id, struct err *err);
/* The same; ERR_TOO_LARGE when its tar would have more than limits->bytes. */
int image_layer_seal_within(struct image_store *s, const char *dir,
                            const struct unpack_limits *limits, char **ret_diff_id,
                            struct err *err);
/* Whether the layer is there; if so it counts as used now, and the collector's grace protects it.
 */
bool image_layer_use(struct image_store *s, const char *diff_id);
/* Writes config and manifest of an image on sealed layers; i->digest is ignored. `ret_digest` is
 * the caller's. */
int image_write(struct image_store *s, const struct image *i, char **ret_digest, struct err *err);
/* Names a manifest, as a root for the collector; replaces what had the name. NULL digest: forgets
 * it. */
int image_ref_set(struct image_store *s, const char *name, const char *digest, struct err *err);
/* The names there are, in any order; appends. */
int image_refs(struct image_store *s, struct strv *ret, struct err *err);
/* When the name was last given, wall µs; 0: never. */
int64_t image_ref_time(struct image_store *s, const char *name);

/* Brings an image in. `source` in skopeo's words: "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]",
 * "docker-archive:FILE[:NAME]", "docker://REGISTRY/NAME:TAG". Layouts and archives on this machine
 * are read directly, registries through skopeo (passwords: image_store_authfile; those on loopback
 * speak plain HTTP). Of an image for several kinds of machines this machine's is taken:
 * ERR_UNPROCESSABLE if there is none. Every digest is checked; layers that are there already are
 * not read. `limits` bound each layer. ERR_INVALID for what is hostile, broken or has a wrong
 * digest; ERR_NOT_FOUND, ERR_FORBIDDEN, ERR_UNAVAILABLE also from registries. Nothing is left of an
 * import that failed but layers that are whole. `ret_digest` is the caller's. */
int image_import(struct image_store *s, const char *source, const struct unpack_limits *limits,
                 char **ret_digest, struct err *err);
/* Writes the image as an OCI layout into the folder `dir` (made if missing) under `tag`, beside
 * what the layout there holds already. Layers leave as plain tars; what copies them on (skopeo)
 * compresses. ERR_IO when a layer's folder is no longer what its digest says. */
int image_export(struct image_store *s, const char *ref, const char *dir, const char *tag,
                 struct err *err);

struct image_gc_stats {
    uint64_t images, layers, bytes; /* removed */
};

/* Removes images and layers that neither a ref nor a digest of `keep` reaches and that are older
 * than `grace_s` seconds (so that one being born is not taken). `keep` (or NULL) must name the
 * images of everything that runs: a layer goes even while it is mounted. Touches nothing that this
 * store did not make. ERR_INVALID, and nothing removed, when a root can't be read. */
int image_gc(struct image_store *s, const struct strv *keep, int64_t grace_s,
             struct image_gc_stats *ret, struct err *err);
/* The same for nothing but the images and layers `ids` (digests) and what these images consist of:
 * of a destroyed app, of which only builds that run now may begin to use something. */
int image_drop(struct image_store *s, const struct strv *ids, const struct strv *keep,
               int64_t grace_s, struct image_gc_stats *ret, struct err *err);

#endif
