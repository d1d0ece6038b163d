#include "go_asm.h"
#include "textflag.h"

#define SIG_SETMASK		2
#define FUTEX_WAIT_PRIVATE	128

#define SYS_exit	93
#define SYS_futex	98
#define SYS_rt_sigprocmask	135
#define SYS_clone	220

// func makeThreads(flags uintptr, cleared *[room]uint32, tids *[room]int32, gate *atomic.Uint32, closed uint32) syscall.Errno
//
// threadroom_linux_amd64.s explains it. R19 and R20 are what R12 and R13 are there, and
// R21 is the number of threads.
TEXT ·makeThreads(SB),NOSPLIT,$16-48
	MOVD	$-1, R9
	MOVD	R9, every-8(SP) // all signals
	MOVD	$SIG_SETMASK, R0
	MOVD	$every-8(SP), R1
	MOVD	$before-16(SP), R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC

	MOVD	gate+24(FP), R19
	MOVWU	closed+32(FP), R20
	MOVD	ZR, R21
make:
	MOVD	flags+0(FP), R0
	MOVD	ZR, R1 // the same stack
	MOVD	cleared+8(FP), R2
	ADD	R21<<2, R2, R2
	MOVD	R2, R3
	MOVD	R2, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, begun
	TBNZ	$63, R0, made
	MOVD	tids+16(FP), R9
	MOVW	R0, (R9)(R21<<2)
	MOVD	ZR, R0
	ADD	$1, R21
	CMP	$const_room, R21
	BNE	make
made:
	NEG	R0, R0
	MOVD	R0, ret+40(FP)

	MOVD	$SIG_SETMASK, R0
	MOVD	$before-16(SP), R1
	MOVD	ZR, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	RET
begun:
	MOVD	R19, R0
	MOVD	$FUTEX_WAIT_PRIVATE, R1
	MOVD	R20, R2
	MOVD	ZR, R3
	MOVD	$SYS_futex, R8
	SVC
	MOVD	ZR, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK	$0
