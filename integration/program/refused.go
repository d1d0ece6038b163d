//go:build linux

package main

import (
	"unsafe"

	"github.com/gomanhole/oneshot"
	"golang.org/x/sys/unix"
)

func init() {
	conditions["refused"] = refused
	conditions["strict"] = strict
}

// strict is a program in a sandbox that lets it create threads as the runtime does, and ends
// it for every other clone(2).
func strict([]string) {
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	jump := func(equal uint32, then, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: then, Jf: otherwise, K: equal}
	}
	const load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	installFilter([]unix.SockFilter{
		{Code: load}, // the number of the system call
		jump(unix.SYS_CLONE, 0, 3),
		{Code: load, K: 16},                 // the lower half of its first argument
		jump(flags|unix.CLONE_SETTLS, 1, 0), // on amd64
		jump(flags, 0, 1),                   // on arm64
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
	})
	install()
	ready()
	select {}
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

// refuse makes the kernel refuse system calls with an error.
func refuse(errno unix.Errno, calls ...uint32) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the system call
	for _, call := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	installFilter(filter)
}

// installFilter installs a seccomp(2) filter in all threads.
func installFilter(filter []unix.SockFilter) {
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
