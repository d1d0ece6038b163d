//go:build linux

package main

import (
	"bufio"
	"os/exec"
	"syscall"
)

// startChildren waits for one program, and reads what another one prints.
func startChildren() {
	sleep := exec.Command("sleep", "1000")
	// The signal comes when the thread ends that started it. Go ends no thread
	// before the process, but those that a goroutine locked.
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
