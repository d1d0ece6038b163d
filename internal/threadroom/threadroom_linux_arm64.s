#include "textflag.h"

// The runtime creates its threads with CLONE_VM, CLONE_FS, CLONE_FILES,
// CLONE_SIGHAND, CLONE_THREAD and CLONE_SYSVSEM. FLAGS are these and CLONE_VFORK.
#define FLAGS	0x54f00

#define SYS_clone	220
#define SYS_exit	93

// func makeThreads(n int) syscall.Errno
//
// All threads run on one stack, and in one frame of it. Each thread has its own
// R19, the number of threads that it must still create.
TEXT ·makeThreads(SB),NOSPLIT,$0-16
	MOVD	ZR, ret+8(FP)
	MOVD	n+0(FP), R19
make:
	MOVD	$FLAGS, R0
	MOVD	ZR, R1 // the same stack
	MOVD	ZR, R2
	MOVD	ZR, R3
	MOVD	ZR, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, begun
	TBZ	$63, R0, made
	NEG	R0, R0
	MOVD	R0, ret+8(FP)
made:
	MOVD	n+0(FP), R1
	CMP	R1, R19
	BNE	exit
	RET
begun:
	SUB	$1, R19
	CBNZ	R19, make
exit:
	MOVD	ZR, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK	$0
