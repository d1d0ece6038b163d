#!/usr/bin/env bash
# Go 1.26.8 and 1.27.4, runtime: a traceback can say "[chan receive, N minutes]" of a goroutine that has waited for a second.
#
# A program collects garbage, does nothing for 130 seconds, and starts a goroutine that receives from a channel. One second
# later it collects garbage twice and prints the tracebacks, after each. One would expect no minutes: the header of a goroutine has them
# only if it has waited for a minute. It says "2 minutes". The runtime does not take the time when a goroutine begins to
# wait. A collection notes it for those that it finds waiting, and the time that it notes is the end of the collection
# before, when the goroutine did not exist. So the minutes can be too many by the time between two collections, which is two
# minutes in an idle program. Whoever looks for goroutines that have waited long must not trust one or two minutes.
#
# The script fails if that changes. It takes two and a half minutes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'MOD'
module example.com/minutes

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

func waiter(c chan int) { <-c }

// header returns the header of the waiter in the runtime's tracebacks.
func header() string {
	text := make([]byte, 1<<20)
	for _, g := range strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n") {
		if strings.Contains(g, "main.waiter(") {
			_, state, _ := strings.Cut(strings.SplitN(g, "\n", 2)[0], " [")
			return "[" + state
		}
	}
	return "no waiter"
}

func main() {
	debug.SetGCPercent(-1) // only the collections below; the runtime forces one every two minutes too
	runtime.GC()
	time.Sleep(130 * time.Second)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	c := make(chan int)
	began := time.Now()
	go waiter(c)
	time.Sleep(time.Second)
	runtime.GC()
	first := header()
	runtime.GC()
	second := header()
	fmt.Fprintf(os.Stderr, "%s: waiting for %.0f s; after one collection %s, after two %s (%d collections before)\n",
		runtime.Version(), time.Since(began).Seconds(), first, second, before.NumGC)
	fmt.Println(first, second)
	close(c)
}
GO
for release in go1.26.8 go1.27.4; do
  (GOTOOLCHAIN=$release go build -o "$release" . && "./$release" > "$release.out") &
done
wait
status=0
for release in go1.26.8 go1.27.4; do
  grep -q 'minutes\]:' "$release.out" || { echo "$release says no minutes any more: $(cat "$release.out")"; status=1; }
done
exit $status
