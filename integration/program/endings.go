//go:build linux

package main

import (
	"bufio"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func init() {
	conditions["ending"] = ending
}

// ending ends when a line comes on standard input, in the way that the first argument
// names. The second argument says what the program has: "manhole"; "signal", a
// notification of the signal that nothing receives; or "nothing".
func ending(args []string) {
	switch args[1] {
	case "manhole":
		install()
	case "signal":
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	}
	for range 2000 { // so that the output of stacks -go does not fit into a socket
		go func() { select {} }()
	}
	ready()
	end := bufio.NewReader(os.Stdin)
	_, _ = end.ReadString('\n')
	switch args[0] {
	case "panic":
		panic("the end")
	case "exit":
		os.Exit(7)
	case "log.Fatal":
		log.Fatal("the end")
	case "goexit":
		defer println("main ends")
		runtime.Goexit()
	case "goexit, then exit":
		go func() {
			_, _ = end.ReadString('\n')
			os.Exit(7)
		}()
		runtime.Goexit()
	}
}
