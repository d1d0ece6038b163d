//go:build linux

// Cgoprogram is a program with a manhole. Its goroutines wait in C functions.
package main

/*
#include <stdlib.h>
#include <unistd.h>
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/gomanhole/oneshot"
)

func main() {
	if _, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var pipe [2]int // nobody writes to it
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var begun sync.WaitGroup
	for range 100 {
		begun.Add(2)
		go func() {
			begun.Done()
			C.sleep(1 << 30)
		}()
		go func() {
			begun.Done()
			b := C.malloc(1)
			C.read(C.int(pipe[0]), b, 1)
		}()
	}
	begun.Wait()
	fmt.Println("ready")
	C.sleep(1 << 30) // main waits in C too
}
