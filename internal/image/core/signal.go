package core

import "encoding/binary"

// Signal is the signal that ended a program.
type Signal struct {
	Number int // 0: none
	Code   int // si_code: how it was sent
	// Addr is the address of the fault for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP
	// that the kernel sent.
	Addr uint64
	// PID and UID are the sender's if a process sent it.
	PID, UID int

	detailed bool // the siginfo is known
}

// parse parses a siginfo_t (asm-generic/siginfo.h).
func (s *Signal) parse(b []byte) {
	const fields = 16
	if len(b) < fields+8 {
		return
	}
	number := int(int32(binary.LittleEndian.Uint32(b)))
	if !endsWithCore(number) { // gcore stops the program with SIGSTOP
		*s = Signal{detailed: true}
		return
	}
	*s = Signal{Number: number, Code: int(int32(binary.LittleEndian.Uint32(b[8:]))), detailed: true}
	if s.Sent() {
		s.PID = int(int32(binary.LittleEndian.Uint32(b[fields:])))
		s.UID = int(int32(binary.LittleEndian.Uint32(b[fields+4:])))
	} else if s.fault() {
		s.Addr = binary.LittleEndian.Uint64(b[fields:])
	}
}

// Sent reports whether a process sent the signal, with kill, tgkill or sigqueue
// (si_code SI_USER, SI_QUEUE and SI_TKILL in sigaction(2)).
func (s Signal) Sent() bool {
	return s.detailed && (s.Code == 0 || s.Code == -1 || s.Code == -6)
}

// Fault reports whether the program did something that the processor or the kernel
// refused, at Addr.
func (s Signal) Fault() bool { return s.detailed && s.Code > 0 && s.fault() }

func (s Signal) fault() bool {
	switch s.Number {
	case 4, 5, 7, 8, 11: // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV on amd64 and arm64
		return true
	}
	return false
}

// endsWithCore reports whether a signal ends a process with a core file (signal(7)).
func endsWithCore(number int) bool {
	switch number {
	case 3, 4, 5, 6, 7, 8, 11, 24, 25, 31: // QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS
		return true
	}
	return false
}
