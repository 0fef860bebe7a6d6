# What our buildpacks share; for bash with pipefail.

step() { printf -- '-----> %s\n' "$*"; }
detail() { printf '       %s\n' "$*"; }
warning() { printf ' !     %s\n' "$*"; }
indent() { sed -u 's/^/       /'; }

# Config variables become environment: registries' tokens, settings of builds. Not what would break the tools.
export_vars() {
    local file name
    for file in "$1"/*; do
        [ -f "$file" ] || continue
        name=${file##*/}
        case $name in
        PATH | HOME | IFS | BASH_* | ENV | LD_* | GIT_DIR | NODE_ENV | NODE_OPTIONS | PYTHONPATH | PYTHONHOME) ;;
        *) export "$name=$(cat "$file")" ;;
        esac
    done
}

# What is known of the source already; empty if it isn't.
fact() { cat "/davit/facts/$1" 2>/dev/null || true; }
