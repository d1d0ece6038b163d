#include "textflag.h"

// The runtime creates its threads with CLONE_VM, CLONE_FS, CLONE_FILES,
// CLONE_SIGHAND, CLONE_THREAD and CLONE_SYSVSEM. FLAGS are these and CLONE_VFORK.
#define FLAGS	0x54f00

#define SYS_clone	56
#define SYS_exit	60

// func makeThreads(n int) syscall.Errno
//
// All threads run on one stack, and in one frame of it. Each thread has its own
// R12, the number of threads that it must still create.
TEXT ·makeThreads(SB),NOSPLIT,$0-16
	MOVQ	$0, ret+8(FP)
	MOVQ	n+0(FP), R12
make:
	MOVL	$FLAGS, DI
	MOVL	$0, SI // the same stack
	MOVL	$0, DX
	MOVL	$0, R10
	MOVL	$0, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JGT	made
	JEQ	begun
	NEGQ	AX
	MOVQ	AX, ret+8(FP)
made:
	CMPQ	R12, n+0(FP)
	JNE	exit
	RET
begun:
	DECQ	R12
	JNE	make
exit:
	MOVL	$0, DI
	MOVL	$SYS_exit, AX
	SYSCALL
	INT	$3
