package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// More returns what this process may do that its user may not, and therefore does not
// let its user trace it (ptrace(2), "Ptrace access mode checking"). It returns "" if
// there is nothing.
func More() string {
	if os.Geteuid() == 0 {
		return ""
	}
	permitted, err := permitted()
	if err != nil {
		return fmt.Sprintf("its capabilities cannot be found out (%v)", err)
	}
	if more := permitted &^ harmless; more != 0 && !ownNamespace() {
		return "it has " + names(more)
	}
	program := readProgram("/proc/self/exe")
	if Secure() && program.raises() {
		return "it was started with more rights than its user has"
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err == nil && dumpable != 1 && !program.hasOnlyHarmless() {
		return "its user may not trace it (PR_SET_DUMPABLE)"
	}
	return ""
}

// Secure reports whether the kernel has told the process not to trust its environment
// (AT_SECURE, getauxval(3)): its caller may be somebody with fewer rights.
func Secure() bool {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return true
	}
	vector, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, entry := range vector {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return false
}

const atSecure = 23 // AT_SECURE in linux/auxvec.h

// set is a set of capabilities. Bit n is the capability with number n.
type set uint64

// harmless are the capabilities that nobody can use through a session: no command
// binds a port.
const harmless = set(1) << unix.CAP_NET_BIND_SERVICE

func permitted() (set, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return set(data[0].Permitted) | set(data[1].Permitted)<<32, nil
}

// ownNamespace reports whether the process is in a user namespace that its user has
// created. Its capabilities hold only there, and its user has all of them there
// (user_namespaces(7)).
func ownNamespace() bool {
	f, err := os.Open("/proc/self/ns/user")
	if err != nil {
		return false
	}
	defer f.Close()
	owner, err := unix.IoctlGetUint32(int(f.Fd()), unix.NS_GET_OWNER_UID)
	return err == nil && int(owner) == os.Geteuid()
}

// program is what the file of a program gives to everybody who starts it.
type program struct {
	setID bool // it has the set-user-ID or set-group-ID bit
	caps  set  // its file capabilities
	err   error
}

// readProgram reads that of a file. The link /proc/self/exe leads to the file that was
// started, even if it has been removed or replaced.
func readProgram(path string) (p program) {
	info, err := os.Stat(path)
	if err != nil {
		return program{err: err}
	}
	p.setID = info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0
	var value [64]byte
	n, err := unix.Getxattr(path, "security.capability", value[:])
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
	case err != nil:
		p.err = err
	default:
		p.caps, p.err = parseCaps(value[:n])
	}
	return p
}

// parseCaps returns the capabilities that a file gives (struct vfs_cap_data in
// linux/capability.h): a word of flags and the revision, and then a word of permitted
// and one of inheritable capabilities, twice.
func parseCaps(value []byte) (set, error) {
	const revision1 = 1 // has the first two words only
	words := make([]set, 5)
	for i := range words {
		if len(value) < 4*(i+1) {
			break
		}
		words[i] = set(binary.LittleEndian.Uint32(value[4*i:]))
	}
	if len(value) < 4*3 {
		return 0, syscall.EINVAL
	}
	if words[0]>>24 == revision1 {
		return words[1] | words[2], nil
	}
	return words[1] | words[2] | (words[3]|words[4])<<32, nil
}

// raises reports whether the file gives rights that count, or cannot be read.
func (p program) raises() bool {
	return p.err != nil || p.setID || p.caps&^harmless != 0
}

// hasOnlyHarmless reports whether the file gives harmless capabilities, and nothing
// else. The kernel protects such a process from its user as well.
func (p program) hasOnlyHarmless() bool {
	return !p.raises() && p.caps != 0
}

// allMapped reports whether the user namespace of the process maps every uid, as the
// first one of the system does.
func allMapped() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && mapsAll(string(text))
}

func mapsAll(uidMap string) bool {
	return strings.Join(strings.Fields(uidMap), " ") == "0 0 4294967295"
}

// names returns the names of capabilities, at most three of them.
func names(caps set) string {
	const shown = 3
	var list []string
	for n := range bits.Len64(uint64(caps)) {
		if caps&(1<<n) == 0 {
			continue
		}
		if len(list) == shown {
			return fmt.Sprintf("%s and %d more capabilities", strings.Join(list, ", "), bits.OnesCount64(uint64(caps))-shown)
		}
		name := fmt.Sprintf("capability %d", n)
		if n < len(capabilities) {
			name = "CAP_" + capabilities[n]
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

// capabilities are the names in linux/capability.h, in the order of their numbers.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
	SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
	AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON
	BPF CHECKPOINT_RESTORE`)
