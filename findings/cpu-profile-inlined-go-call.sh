#!/usr/bin/env bash
# Go 1.26.8 and 1.27.4, compiler and runtime/pprof: most CPU samples of a busy goroutine have no function at all. With 1.25.8 all have one.
#
# A goroutine is started with "go spin(triple{})", and calls a method of an interface in a loop for ever. spin is short, so the compiler
# inlines it into the function that it makes for the go statement, main.main.gowrap1, and it knows which method is called.
# One would expect that a CPU profile says main.spin. With 1.25.8, every sample does. With 1.26.8 and 1.27.4, two thirds to four fifths of the samples
# have no location; "go tool pprof -top" said, for example, "Showing nodes accounting for 280ms, 34.15% of 820ms total". The instructions
# that compare the type of the interface and jump back have the line of spin, but no mark that they are inlined, so they
# seem to be gowrap1's own; and a profile leaves out wrappers. For the same reason, most listings of all goroutines
# (runtime.Stack, SIGQUIT, the goroutine profile with debug=2) have main.main.gowrap1 and no main.spin: since nothing else is
# visible, they show the wrapper, with the frames of the runtime around it.
#
# The script prints both shares for each release, and fails if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

type multiplier interface{ times(int) int }

type triple struct{}

//go:noinline
func (triple) times(n int) int { return n * 3 }

func spin(m multiplier) {
	for n := 1; ; {
		n = m.times(n)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	go spin(triple{})
	f, err := os.Create(os.Args[1])
	check(err)
	check(pprof.StartCPUProfile(f))
	time.Sleep(2 * time.Second)
	pprof.StopCPUProfile()
	check(f.Close())
	text := make([]byte, 64<<10)
	with, all := 0, 0
	for range make([]int, 300) {
		for _, g := range strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n") {
			if strings.Contains(g, "created by main.main") {
				all++
				if strings.Contains(g, "main.spin(") {
					with++
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	println(runtime.Version()+": listings with main.spin:", with, "of", all)
}
GO
status=0
for release in go1.25.8 go1.26.8 go1.27.4; do
  printf 'module example.com/spin\n\ngo %s\n' "$(echo "${release#go}" | cut -d. -f1,2)" > go.mod
  GOTOOLCHAIN=$release go build -o "$release" .
  "./$release" "$release.pprof"
  # In the raw form a sample is: its number, its nanoseconds, a colon, its locations.
  GOTOOLCHAIN=$release go tool pprof -raw "$release.pprof" 2> errors > "$release.raw" || { cat errors; exit 1; }
  read -r without all < <(awk '/^Samples:/ {on = 1} /^Locations/ {on = 0} on && /^ *[0-9]+ +[0-9]+:/ {all += $1; if (NF == 2) without += $1} END {print without + 0, all + 0}' "$release.raw")
  echo "$release: CPU samples without a location: $without of $all"
  case $release in
  go1.25.8) [ $((20 * without)) -le "$all" ] || { echo "$release has samples without a location too"; status=1; } ;;
  *) [ $((4 * without)) -ge "$all" ] || { echo "$release has locations for nearly all samples"; status=1; } ;;
  esac
done
exit $status
