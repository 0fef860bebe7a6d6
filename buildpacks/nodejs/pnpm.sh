# pnpm: what it installs and removes. Its store is copied from: links out of the cache would not be in the image.
export npm_config_store_dir="$cache/pnpm" npm_config_package_import_method=copy npm_config_manage_package_manager_versions=false
install() {
    local frozen=--no-frozen-lockfile
    [ ! -f pnpm-lock.yaml ] || frozen=--frozen-lockfile
    step "Installing dependencies (pnpm $(pnpm --version), $frozen)"
    pnpm install "$frozen" --prod=false --prefer-offline --reporter=append-only 2>&1 | indent
}
prune() { pnpm prune --prod --ignore-scripts 2>&1 | indent; }
