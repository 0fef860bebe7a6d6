# What builds leave behind to be quicker next time: put back before, kept after. Another node or package manager begins anew.
kept=$cache/kept
kept_by="$(node --version) $manager"

caches() {
    printf '%s\n' .next/cache node_modules/.cache node_modules/.astro .angular/cache .nx/cache .parcel-cache .turbo
    [ ! -d node_modules/gatsby ] || printf '%s\n' .cache public
    fact node_caches
}

# Installing empties node_modules: what lies in there is put back after it.
caches_restore() {
    local folder
    [ "$(cat "$kept.by" 2>/dev/null)" = "$kept_by" ] || rm -rf "$kept"
    while read -r folder; do
        [ "$1" = after ] || [ "${folder#node_modules/}" = "$folder" ] || continue
        [ -e "$kept/$folder" ] && [ ! -e "$folder" ] || continue
        mkdir -p "$(dirname "$folder")"
        cp -a "$kept/$folder" "$folder"
    done < <(caches | sort -u)
}

caches_save() {
    local folder
    rm -rf "$kept"
    while read -r folder; do
        [ -e "$folder" ] || continue
        mkdir -p "$(dirname "$kept/$folder")"
        cp -a "$folder" "$kept/$folder"
    done < <(caches | sort -u)
    printf '%s\n' "$kept_by" >"$kept.by"
    # The app that runs has no use for these.
    rm -rf .next/cache/webpack .next/cache/turbopack .angular/cache .nx/cache .parcel-cache
}
