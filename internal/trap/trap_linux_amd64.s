#include "go_asm.h"
#include "textflag.h"

#define SYS_getpid	39
#define SYS_shutdown	48
#define SYS_kill	62
#define SYS_futex	202
#define SYS_newfstatat	262
#define SYS_unlinkat	263

#define AT_FDCWD		-100
#define AT_SYMLINK_NOFOLLOW	0x100
#define SHUT_RDWR		2
#define SIGIO			29

#define FUTEX_WAIT_PRIVATE	128
#define FUTEX_WAKE_PRIVATE	129
#define ETIMEDOUT		110

// holdTime is how long handlers wait for the thread that makes a socket: 20 ms, as a
// struct timespec. Making a socket takes microseconds, unless the file system is slow.
DATA ·holdTime+0(SB)/8, $0
DATA ·holdTime+8(SB)/8, $20000000
GLOBL ·holdTime(SB), RODATA|NOPTR, $16

// The frame contains a struct stat (144 bytes, st_dev and st_ino first), then the
// handler's arguments, the registers that a C function must not change, and the
// name that is looked at.
#define FRAME	192
#define SIG	144
#define INFO	152
#define CONTEXT	160
#define SAVEBX	168
#define SAVER12	176
#define NAME	184

// func trapHandlerPC() uintptr
TEXT ·trapHandlerPC(SB),NOSPLIT,$0-8
	LEAQ	·trapHandler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// trapHandler is a signal handler. DI is the signal, SI is its siginfo and DX is the
// context. The return address is the kernel's restorer, or it is in a handler of C
// code that calls this one as a function. So the handler restores BX and R12, and
// saves its arguments for the next handler.
// BX points to the state, and R12 is the bit of the signal. System calls change neither.
TEXT ·trapHandler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0-0
	SUBQ	$FRAME, SP
	MOVQ	DI, SIG(SP)
	MOVQ	SI, INFO(SP)
	MOVQ	DX, CONTEXT(SP)
	MOVQ	BX, SAVEBX(SP)
	MOVQ	R12, SAVER12(SP)
	LEAQ	·theTrap(SB), BX

	// C code may have copied the handler to another signal. 1 to 64 are valid.
	MOVL	DI, CX
	DECL	CX
	MOVL	$1, R12
	SHLQ	CX, R12
	TESTQ	R12, trapState_sigs(BX)
	JEQ	next

	LOCK
	INCL	trapState_seen(BX)
	LOCK
	INCL	trapState_busy(BX)

	// Tell Go code that the program was asked to end (Announce).
	TESTQ	R12, trapState_announce(BX)
	JEQ	quiet
	LOCK
	ORQ	R12, trapState_announced(BX)
	MOVL	$SYS_getpid, AX
	SYSCALL
	MOVL	AX, DI
	MOVL	$SIGIO, SI
	MOVL	$SYS_kill, AX
	SYSCALL

quiet:
	CMPL	trapState_armed(BX), $0
	JEQ	leave

	// A forked child has a copy of our memory, but the socket is not its own.
	MOVL	$SYS_getpid, AX
	SYSCALL
	CMPL	AX, trapState_pid(BX)
	JNE	leave

	// Note the signal first. Then check whether a thread is making a socket. It
	// is not this thread, since Hold blocks the signals.
	LOCK
	ORQ	R12, trapState_fired(BX)
	CMPL	trapState_held(BX), $0
	JEQ	unlink
	LEAQ	trapState_held(BX), DI
	MOVL	$FUTEX_WAIT_PRIVATE, SI
	MOVL	$1, DX
	LEAQ	·holdTime(SB), R10
	MOVL	$SYS_futex, AX
	SYSCALL
	CMPQ	AX, $-ETIMEDOUT
	JNE	unlink

	// The file system is slow. The other handlers do not wait any longer, and the
	// next ones do not wait at all. Whoever makes the socket sees the signal
	// (Fired) and removes it, if the process lives so long.
	MOVL	$0, trapState_held(BX)
	LEAQ	trapState_held(BX), DI
	MOVL	$FUTEX_WAKE_PRIVATE, SI
	MOVL	$0x7fffffff, DX
	MOVL	$SYS_futex, AX
	SYSCALL

	// Remove the temporary name and the path, if they are our inode. Others may put
	// files there: /proc/net/unix shows the temporary name, and a dead socket at the
	// path is exchanged for ours. While the socket has just been made, its inode is
	// not known yet, and nobody else can have used the name.
unlink:
	LEAQ	trapState_tmp(BX), SI
	MOVQ	SI, NAME(SP)
	CMPQ	trapState_ino(BX), $0
	JEQ	remove
look:
	MOVQ	$AT_FDCWD, DI
	MOVQ	SP, DX
	MOVL	$AT_SYMLINK_NOFOLLOW, R10
	MOVL	$SYS_newfstatat, AX
	SYSCALL
	TESTQ	AX, AX
	JNE	other
	MOVQ	0(SP), AX
	CMPQ	AX, trapState_dev(BX)
	JNE	other
	MOVQ	8(SP), AX
	CMPQ	AX, trapState_ino(BX)
	JNE	other
remove:
	MOVQ	$AT_FDCWD, DI
	MOVQ	NAME(SP), SI
	MOVL	$0, DX
	MOVL	$SYS_unlinkat, AX
	SYSCALL
other:
	LEAQ	trapState_path(BX), SI
	CMPQ	SI, NAME(SP)
	MOVQ	SI, NAME(SP)
	JNE	look

wake:
	// Wake the goroutine that accepts. A bad descriptor does no harm.
	MOVLQSX	trapState_ln(BX), DI
	MOVL	$SHUT_RDWR, SI
	MOVL	$SYS_shutdown, AX
	SYSCALL

leave:
	LOCK
	DECL	trapState_busy(BX)
next:
	MOVLQZX	SIG(SP), DI
	MOVQ	trapState_next(BX), R8
	MOVQ	INFO(SP), SI
	MOVQ	CONTEXT(SP), DX
	MOVQ	SAVEBX(SP), BX
	MOVQ	SAVER12(SP), R12
	ADDQ	$FRAME, SP
	JMP	R8
