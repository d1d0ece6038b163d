//go:build linux

package main

import (
	"bufio"
	"os/exec"
	"syscall"
)

// Child processes.

// startChildren waits for one program, and reads the output of another one.
func startChildren() {
	sleep := exec.Command("sleep", "1000")
	// The kernel sends the signal when the thread that started the child ends. Go ends
	// a thread before the process only if a goroutine has locked itself to it.
	sleep.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		panic(err)
	}
	go func() { _ = sleep.Wait() }()

	cat := exec.Command("cat")
	cat.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	hold(must(cat.StdinPipe()))
	out := must(cat.StdoutPipe())
	if err := cat.Start(); err != nil {
		panic(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			_ = s.Text()
		}
		_ = cat.Wait()
	}()
}
