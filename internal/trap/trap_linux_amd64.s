#include "go_asm.h"
#include "textflag.h"

#define SYS_sched_yield	24
#define SYS_getpid	39
#define SYS_shutdown	48
#define SYS_newfstatat	262
#define SYS_unlinkat	263

#define AT_FDCWD		-100
#define AT_SYMLINK_NOFOLLOW	0x100
#define SHUT_RDWR		2

// The number of sched_yield calls after which the handler no longer waits for the
// thread that makes a socket.
#define YIELDS	100000

// The frame contains a struct stat (144 bytes, st_dev and st_ino first), then the
// handler's arguments.
#define FRAME	192
#define SIG	160
#define INFO	168
#define CONTEXT	176

// func trapHandlerPC() uintptr
TEXT ·trapHandlerPC(SB),NOSPLIT,$0-8
	LEAQ	·trapHandler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// trapHandler is a signal handler. DI is the signal, SI is its siginfo and DX is the
// context. The return address is the kernel's restorer. sigreturn restores every
// register, so the handler only saves those three, for the next handler.
// BX points to the state and R12 is a counter. System calls change neither.
TEXT ·trapHandler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0-0
	SUBQ	$FRAME, SP
	MOVQ	DI, SIG(SP)
	MOVQ	SI, INFO(SP)
	MOVQ	DX, CONTEXT(SP)
	LEAQ	·theTrap(SB), BX

	LOCK
	INCL	trapState_seen(BX)
	LOCK
	INCL	trapState_busy(BX)
	CMPL	trapState_armed(BX), $0
	JEQ	chain

	// A forked child has a copy of our memory, but the socket is not its own.
	MOVL	$SYS_getpid, AX
	SYSCALL
	CMPL	AX, trapState_pid(BX)
	JNE	chain

	// Note the signal first. Then check whether a thread is making a socket. It
	// is not this thread, since Hold blocks the signals. Its file system may
	// hang, so the wait has a limit.
	MOVQ	SIG(SP), CX
	DECL	CX
	MOVL	$1, AX
	SHLQ	CX, AX
	LOCK
	ORQ	AX, trapState_fired(BX)
	MOVL	$YIELDS, R12
wait:
	CMPL	trapState_held(BX), $0
	JEQ	unlink
	MOVL	$SYS_sched_yield, AX
	SYSCALL
	DECL	R12
	JNZ	wait

unlink:
	MOVQ	$AT_FDCWD, DI
	LEAQ	trapState_tmp(BX), SI
	MOVL	$0, DX
	MOVL	$SYS_unlinkat, AX
	SYSCALL

	// Remove the path too, if it is our inode.
	MOVQ	$AT_FDCWD, DI
	LEAQ	trapState_path(BX), SI
	MOVQ	SP, DX
	MOVL	$AT_SYMLINK_NOFOLLOW, R10
	MOVL	$SYS_newfstatat, AX
	SYSCALL
	TESTQ	AX, AX
	JNE	wake
	MOVQ	0(SP), AX
	CMPQ	AX, trapState_dev(BX)
	JNE	wake
	MOVQ	8(SP), AX
	CMPQ	AX, trapState_ino(BX)
	JNE	wake
	MOVQ	$AT_FDCWD, DI
	LEAQ	trapState_path(BX), SI
	MOVL	$0, DX
	MOVL	$SYS_unlinkat, AX
	SYSCALL

wake:
	// Wake the goroutine that accepts. A bad descriptor does no harm.
	MOVLQSX	trapState_ln(BX), DI
	MOVL	$SHUT_RDWR, SI
	MOVL	$SYS_shutdown, AX
	SYSCALL

chain:
	MOVLQZX	SIG(SP), DI
	MOVQ	trapState_old(BX)(DI*8), R8
	MOVQ	INFO(SP), SI
	MOVQ	CONTEXT(SP), DX
	LOCK
	DECL	trapState_busy(BX)
	ADDQ	$FRAME, SP
	JMP	R8
