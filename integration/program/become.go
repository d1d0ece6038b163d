//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() { conditions["become"] = become }

// become does what a container engine does last: it drops capabilities from the bounding
// set, becomes a user, and executes a program. Images without any other program need it.
//
//	program become UID CAPABILITIES PROGRAM [ARG...]
//
// CAPABILITIES is a mask in hexadecimal, as /proc/PID/status shows them.
func become(args []string) {
	if len(args) < 3 {
		fail(fmt.Errorf("become: give a uid, a mask and a program, not %q", args))
	}
	uid, err := strconv.Atoi(args[0])
	if err != nil {
		fail(err)
	}
	kept, err := strconv.ParseUint(args[1], 16, 64)
	if err != nil {
		fail(err)
	}
	file, err := exec.LookPath(args[2])
	if err != nil {
		fail(err)
	}
	runtime.LockOSThread() // the thread that executes the program passes its bounding set on
	for n := range unix.CAP_LAST_CAP + 1 {
		if kept&(1<<n) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: an older kernel
			fail(os.NewSyscallError("prctl", err))
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		fail(os.NewSyscallError("setgroups", err))
	}
	if err := syscall.Setgid(uid); err != nil {
		fail(os.NewSyscallError("setgid", err))
	}
	if err := syscall.Setuid(uid); err != nil {
		fail(os.NewSyscallError("setuid", err))
	}
	fail(os.NewSyscallError("execve", syscall.Exec(file, args[2:], os.Environ())))
}
