//go:build linux

package main

import (
	"unsafe"

	"github.com/gomanhole/oneshot"
	"golang.org/x/sys/unix"
)

func init() {
	conditions["refused"] = refused
}

// refused makes the kernel refuse some system calls, as a container's seccomp profile may.
// The arguments are the error, EPERM or ENOSYS, and the path of a trigger file or "".
func refused(args []string) {
	errno := map[string]unix.Errno{"EPERM": unix.EPERM, "ENOSYS": unix.ENOSYS}[args[0]]
	if errno == 0 {
		fail(unix.EINVAL)
	}
	refuse(errno, unix.SYS_MEMFD_CREATE, unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH)
	install(func(o *oneshot.Options) { o.TriggerFile = args[1] })
	ready()
	select {}
}

// refuse installs a seccomp(2) filter in all threads.
func refuse(errno unix.Errno, calls ...uint32) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the system call
	for _, call := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// no_new_privs belongs to a thread. TSYNC sets it in the other threads with the filter.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fail(err)
	}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		fail(e)
	}
}
