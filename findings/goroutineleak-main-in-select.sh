#!/usr/bin/env bash
# Go 1.27.4, runtime/pprof: while main is blocked in "select {}", every "goroutineleak" profile has one record too many,
# with an empty stack.
#
# A program leaks 30 goroutines in a send. A goroutine takes a goroutineleak profile, in one run while main sleeps, and in
# the other while main is in select {}, which is how many servers end their main. One would expect the same 30 in both
# runs: the runtime does not report main. With main asleep, Count and the total of the text form are 30. With main in
# select {} both are 31, and the text form ends with a record "1 @" whose only frame is at address 0x0. The marks
# "(leaked)" in the runtime's tracebacks are 30 in both runs. The runtime counts main before it takes its mark away again,
# and the profile is as long as the count. So whoever reads the profile should leave out records without a stack, and
# not rely on Count.
#
# The script fails if one of these numbers changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'MOD'
module example.com/leak

go 1.27
MOD
cat > main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

func quote() {
	prices := make(chan int)
	go func() { prices <- 1 }()
}

func report() {
	time.Sleep(200 * time.Millisecond)
	leaks := pprof.Lookup("goroutineleak")
	var text bytes.Buffer
	for range 2 { // the first profile may be incomplete
		text.Reset()
		if err := leaks.WriteTo(&text, 1); err != nil {
			panic(err)
		}
	}
	total, _, _ := strings.Cut(text.String(), "\n")
	buf := make([]byte, 1<<20)
	marks := strings.Count(string(buf[:runtime.Stack(buf, true)]), "(leaked)")
	fmt.Printf("count %d, %s, records without a stack %d, marks %d\n",
		leaks.Count(), total, strings.Count(text.String(), "1 @\n#\t0x0\n"), marks)
	os.Exit(0)
}

func main() {
	for range 30 {
		quote()
	}
	go report()
	if len(os.Args) > 1 {
		select {}
	}
	time.Sleep(time.Minute)
}
GO
export GOTOOLCHAIN=go1.27.4 GOFLAGS=-mod=mod GOWORK=off
go build -o leak .
go version
asleep=$(./leak)
blocked=$(./leak select)
echo "main asleep:      $asleep"
echo "main in select{}: $blocked"
[ "$asleep" = "count 30, goroutineleak profile: total 30, records without a stack 0, marks 30" ]
[ "$blocked" = "count 31, goroutineleak profile: total 31, records without a stack 1, marks 30" ]
