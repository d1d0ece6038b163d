//go:build linux

// Chandlers is a program whose C code installs signal handlers beside a manhole. It
// takes steps as ./program does in the condition steps: each argument and then each line
// of the standard input is one. It is also built as a library of the C program in
// testdata, which passes the steps on.
package main

// #cgo CFLAGS: -O2
// #include "handlers.h"
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

func main() {
	for _, step := range os.Args[1:] {
		take(step)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		take(lines.Text())
		fmt.Fprintln(os.Stderr, "taken: "+lines.Text())
	}
	for {
		time.Sleep(time.Hour)
	}
}

// TakeStep is for the C program.
//
//export TakeStep
func TakeStep(step *C.char) { take(C.GoString(step)) }

var (
	mu      sync.Mutex // guards what follows; a C program may have several threads
	manhole *oneshot.Manhole
	notify  = make(chan os.Signal, 8)
)

func take(step string) {
	mu.Lock()
	defer mu.Unlock()
	name, arg, _ := strings.Cut(step, " ")
	var sigs []syscall.Signal
	for _, word := range strings.Fields(arg) {
		sig, err := oneshot.ParseSignal(word)
		must(err)
		sigs = append(sigs, sig)
	}
	sig := func(i int) C.int { return C.int(sigs[i]) }
	var err error
	switch name {
	case "install": // or reinstall
		manhole, err = oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, Reinstall: true, ReinstallDelay: -1})
		must(err)
	case "uninstall":
		must(manhole.Uninstall())
	case "notify":
		signal.Notify(notify, sigs[0])
		go func() {
			for sig := range notify {
				fmt.Fprintln(os.Stderr, "got", sig)
			}
		}()
	case "stop":
		signal.Stop(notify)
	case "come":
		C.come(sig(0))
	case "go":
		C.go_away(sig(0))
	case "end":
		C.end_on(sig(0))
	case "keep":
		C.keep(sig(0))
	case "back":
		C.put_back(sig(0))
	case "copy":
		C.copy(sig(0), sig(1))
	default:
		must(fmt.Errorf("no step %q", step))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
