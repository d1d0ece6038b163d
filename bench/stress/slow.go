//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A slow file system is made with seccomp_unotify(2): the kernel asks the stress command
// about each system call of a program that creates, moves or removes a file, and stress
// takes its time to answer.

// slowCalls are these system calls.
var slowCalls = []uint32{unix.SYS_BIND, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT}

// slowDown makes the program of a command that is not started yet slow, if that is wanted.
func (s *stress) slowDown(cmd *exec.Cmd, seed uint64) error {
	if s.slow == 0 {
		return nil
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	cmd.Args = append([]string{s.binary, "slowed", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = s.binary
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	go func() {
		defer ours.Close()
		defer theirs.Close()
		listener, err := receiveFD(ours)
		if err != nil {
			s.tally.fail(faults, fmt.Sprintf("no seccomp listener: %v", err))
			return
		}
		defer unix.Close(listener)
		s.answerSlowly(listener, rand.New(rand.NewPCG(seed, 1)))
	}()
	return nil
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	limit := unix.NsecToTimeval(int64(patience))
	err = unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), err
}

func receiveFD(from *os.File) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	var n int
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) { // it has a time limit, so the kernel does not repeat it
		_, n, _, _, err = unix.Recvmsg(int(from.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// The structs of linux/seccomp.h.
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

const (
	notifRecv = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifSend = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	goOn      = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// answerSlowly answers until the program has ended.
func (s *stress) answerSlowly(listener int, r *rand.Rand) {
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); errors.Is(err, unix.EINTR) {
			continue
		}
		if poll[0].Revents&unix.POLLIN == 0 { // POLLHUP: no process has the filter any more
			return
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifRecv, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the caller has been killed
		}
		time.Sleep(time.Duration(r.Int64N(int64(s.slow))))
		answer := response{id: n.id, flags: goOn}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifSend, uintptr(unsafe.Pointer(&answer))) // it may have been killed
		s.tally.add("slow system calls", 1)
	}
}

// slowedMain installs the filter, passes its listener to the stress command, and becomes
// the program.
func slowedMain(argv []string) {
	fail := func(what string, err error) {
		fmt.Fprintln(os.Stderr, what, err)
		os.Exit(1)
	}
	runtime.LockOSThread()                                                       // the filter is this thread's; exec ends the others
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the system call
	for i, call := range slowCalls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(slowCalls) - i), K: call})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fail("no_new_privs:", err)
	}
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		fail("seccomp:", errno)
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(listener)), nil, 0); err != nil {
		fail("sendmsg:", err)
	}
	unix.Close(int(listener))
	unix.Close(3)
	fail("exec:", syscall.Exec(argv[0], argv, os.Environ()))
}
