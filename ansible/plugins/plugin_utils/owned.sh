# shellcheck shell=sh
# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Put before run.sh and keep.sh. Lines that begin with # are left out and the others are joined to one, so each
# command ends with a semicolon.

# Succeeds where each path is a directory or a file, no link, that belongs to root and that nobody else can write to.
# The names hold nothing that `ls` would print otherwise; stat is not in POSIX.
# shellcheck disable=SC2012
owned() {
  ls -ldn "$@" 2>/dev/null | {
    n=0;
    while read -r mode _ owner _; do
      case "$mode,$owner" in [d-]????-??-*,0) n=$((n + 1)) ;; *) exit 1 ;; esac;
    done;
    [ "$n" = $# ];
  };
};
