#include "go_asm.h"
#include "textflag.h"

#define SYS_unlinkat	35
#define SYS_newfstatat	79
#define SYS_sched_yield	124
#define SYS_getpid	172
#define SYS_shutdown	210

#define AT_FDCWD		-100
#define AT_SYMLINK_NOFOLLOW	0x100
#define SHUT_RDWR		2

// The number of sched_yield calls after which the handler no longer waits for the
// thread that makes a socket.
#define YIELDS	100000

// The frame contains a struct stat (128 bytes, st_dev and st_ino first), then the
// handler's arguments.
#define FRAME	192
#define SIG	160
#define INFO	168
#define CONTEXT	176

// func trapHandlerPC() uintptr
TEXT ·trapHandlerPC(SB),NOSPLIT,$0-8
	MOVD	$·trapHandler(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// trapHandler is a signal handler. R0 is the signal, R1 is its siginfo and R2 is the
// context. LR is the kernel's restorer. trap_linux_amd64.s explains the steps.
// R19 points to the state and R20 is a counter. System calls change neither.
TEXT ·trapHandler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0-0
	SUB	$FRAME, RSP
	MOVD	R0, SIG(RSP)
	MOVD	R1, INFO(RSP)
	MOVD	R2, CONTEXT(RSP)
	MOVD	$·theTrap(SB), R19

	ADD	$trapState_seen, R19, R9
count:
	LDAXRW	(R9), R10
	ADDW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, count
	ADD	$trapState_busy, R19, R9
enter:
	LDAXRW	(R9), R10
	ADDW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, enter
	DMB	$0xb // ISH: other threads see the count before armed is read
	ADD	$trapState_armed, R19, R9
	LDARW	(R9), R10
	CBZW	R10, chain

	MOVD	$SYS_getpid, R8
	SVC
	MOVWU	trapState_pid(R19), R10
	CMPW	R0, R10
	BNE	chain

	MOVD	SIG(RSP), R9
	SUBW	$1, R9
	MOVD	$1, R10
	LSL	R9, R10, R10
	ADD	$trapState_fired, R19, R9
note:
	LDAXR	(R9), R11
	ORR	R10, R11
	STLXR	R11, (R9), R12
	CBNZW	R12, note
	DMB	$0xb // ISH: other threads see the signal before held is read
	MOVD	$YIELDS, R20
wait:
	ADD	$trapState_held, R19, R9
	LDARW	(R9), R10
	CBZW	R10, unlink
	MOVD	$SYS_sched_yield, R8
	SVC
	SUBW	$1, R20
	CBNZW	R20, wait

unlink:
	MOVD	$AT_FDCWD, R0
	ADD	$trapState_tmp, R19, R1
	MOVD	$0, R2
	MOVD	$SYS_unlinkat, R8
	SVC

	MOVD	$AT_FDCWD, R0
	ADD	$trapState_path, R19, R1
	MOVD	RSP, R2
	MOVD	$AT_SYMLINK_NOFOLLOW, R3
	MOVD	$SYS_newfstatat, R8
	SVC
	CBNZ	R0, wake
	MOVD	0(RSP), R9
	MOVD	trapState_dev(R19), R10
	CMP	R9, R10
	BNE	wake
	MOVD	8(RSP), R9
	MOVD	trapState_ino(R19), R10
	CMP	R9, R10
	BNE	wake
	MOVD	$AT_FDCWD, R0
	ADD	$trapState_path, R19, R1
	MOVD	$0, R2
	MOVD	$SYS_unlinkat, R8
	SVC

wake:
	MOVW	trapState_ln(R19), R0
	MOVD	$SHUT_RDWR, R1
	MOVD	$SYS_shutdown, R8
	SVC

chain:
	MOVWU	SIG(RSP), R0
	ADD	$trapState_old, R19, R9
	MOVD	(R9)(R0<<3), R12
	MOVD	INFO(RSP), R1
	MOVD	CONTEXT(RSP), R2
	ADD	$trapState_busy, R19, R9
leave:
	LDAXRW	(R9), R10
	SUBW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, leave
	ADD	$FRAME, RSP
	JMP	(R12)
