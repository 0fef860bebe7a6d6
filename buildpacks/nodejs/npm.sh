# npm: what it installs and removes.
install() {
    if [ -n "$lockfile" ]; then
        step "Installing dependencies (npm ci)"
        npm ci --include=dev --prefer-offline 2>&1 | indent
    else
        step "Installing dependencies (npm install; a package-lock.json would make this repeatable)"
        npm install --include=dev --no-package-lock --prefer-offline 2>&1 | indent
    fi
}
prune() { npm prune --omit=dev --ignore-scripts 2>&1 | indent; }
