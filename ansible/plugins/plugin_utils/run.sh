# shellcheck shell=sh
# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs the kept program on what is there on descriptor 0: only one that root alone can exchange and that is whole, for
# what is there in that directory is executed by root, and its name is known to everybody. Where it does not come to
# that, reads descriptor 0 to its end, so that nobody who feeds it meets a closed pipe, and says which machine this is.
#
# Arguments: the directory, then for each program there is the words of `uname -sm` and the checksum.
# Ends with 120 where the program is to be brought, 121 where this is not root, 122 where there is none for this
# machine, 124 where it is there but the file system forbids to execute it; else as the program does.

k="$1";
shift;
m="$(uname -sm)";
c=;
while [ $# -gt 1 ]; do
  if [ "$1" = "$m" ]; then c="$2"; fi;
  shift 2;
done;
p="$k/bin/$c";
e=120;
if [ -z "$c" ]; then e=122;
elif [ -f "$p" ] && owned "$k" "$k/bin" "$p" && [ "$(sha256sum <"$p")" = "$c  -" ]; then
  if [ -x "$p" ]; then exec "$p" -; fi;
  e=124;
fi;
cat >/dev/null;
echo "$m";
if [ "$e" = 120 ] && [ "$(id -u)" != 0 ]; then e=121; fi;
exit "$e";
