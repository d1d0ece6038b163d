#include "go_asm.h"
#include "textflag.h"

#define SIG_SETMASK		2
#define FUTEX_WAIT_PRIVATE	128

#define SYS_rt_sigprocmask	14
#define SYS_clone	56
#define SYS_exit	60
#define SYS_futex	202

// func makeThreads(flags uintptr, cleared *[room]uint32, tids *[room]int32, gate *atomic.Uint32, closed uint32) syscall.Errno
//
// A new thread has the stack pointer of its creator, but uses no stack. It has R12 and
// R13 from its creator too. It has no thread-local storage: with CLONE_SETTLS its
// pointer points to a word of cleared, which nothing reads.
TEXT ·makeThreads(SB),NOSPLIT,$16-48
	MOVQ	$-1, 0(SP) // all signals
	MOVL	$SIG_SETMASK, DI
	LEAQ	0(SP), SI
	LEAQ	8(SP), DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL

	MOVQ	gate+24(FP), R12
	MOVL	closed+32(FP), R13
	MOVL	$0, BX // the number of threads
make:
	MOVQ	flags+0(FP), DI
	MOVQ	$0, SI // the same stack
	MOVQ	cleared+8(FP), DX
	LEAQ	(DX)(BX*4), DX
	MOVQ	DX, R10
	MOVQ	DX, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JEQ	begun
	JLT	made
	MOVQ	tids+16(FP), R9
	MOVL	AX, (R9)(BX*4)
	MOVL	$0, AX
	INCL	BX
	CMPL	BX, $const_room
	JNE	make
made:
	NEGQ	AX
	MOVQ	AX, ret+40(FP)

	MOVL	$SIG_SETMASK, DI
	LEAQ	8(SP), SI
	MOVL	$0, DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL
	RET
begun:
	MOVQ	R12, DI
	MOVL	$FUTEX_WAIT_PRIVATE, SI
	MOVL	R13, DX
	MOVL	$0, R10
	MOVL	$SYS_futex, AX
	SYSCALL
	MOVL	$0, DI
	MOVL	$SYS_exit, AX
	SYSCALL
	INT	$3
