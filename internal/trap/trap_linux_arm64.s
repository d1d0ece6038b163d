#include "go_asm.h"
#include "textflag.h"

#define SYS_unlinkat	35
#define SYS_newfstatat	79
#define SYS_futex	98
#define SYS_kill	129
#define SYS_getpid	172
#define SYS_shutdown	210

#define AT_FDCWD		-100
#define AT_SYMLINK_NOFOLLOW	0x100
#define SHUT_RDWR		2
#define SIGIO			29

#define FUTEX_WAIT_PRIVATE	128
#define FUTEX_WAKE_PRIVATE	129
#define ETIMEDOUT		110

// trap_linux_amd64.s explains it.
DATA ·holdTime+0(SB)/8, $0
DATA ·holdTime+8(SB)/8, $20000000
GLOBL ·holdTime(SB), RODATA|NOPTR, $16

// The frame contains a struct stat (128 bytes, st_dev and st_ino first), then the
// handler's arguments, the registers that a C function must not change, and the
// name that is looked at.
#define FRAME	192
#define SIG	144
#define INFO	152
#define CONTEXT	160
#define SAVER19	168
#define SAVER20	176
#define NAME	184

// func trapHandlerPC() uintptr
TEXT ·trapHandlerPC(SB),NOSPLIT,$0-8
	MOVD	$·trapHandler(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// trapHandler is a signal handler. R0 is the signal, R1 is its siginfo and R2 is the
// context. LR is the kernel's restorer, or it is in a handler of C code.
// trap_linux_amd64.s explains the steps.
// R19 points to the state, and R20 is the bit of the signal. System calls change neither.
TEXT ·trapHandler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0-0
	SUB	$FRAME, RSP
	MOVD	R0, SIG(RSP)
	MOVD	R1, INFO(RSP)
	MOVD	R2, CONTEXT(RSP)
	MOVD	R19, SAVER19(RSP)
	MOVD	R20, SAVER20(RSP)
	MOVD	$·theTrap(SB), R19

	SUBW	$1, R0, R9
	MOVD	$1, R10
	LSL	R9, R10, R20
	ADD	$trapState_sigs, R19, R9
	LDAR	(R9), R10
	TST	R20, R10
	BEQ	next

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

	ADD	$trapState_announce, R19, R9
	LDAR	(R9), R10
	TST	R20, R10
	BEQ	quiet
	ADD	$trapState_announced, R19, R9
announce:
	LDAXR	(R9), R11
	ORR	R20, R11
	STLXR	R11, (R9), R12
	CBNZW	R12, announce
	MOVD	$SYS_getpid, R8
	SVC
	MOVD	$SIGIO, R1
	MOVD	$SYS_kill, R8
	SVC

quiet:
	DMB	$0xb // ISH: other threads see the count before armed is read
	ADD	$trapState_armed, R19, R9
	LDARW	(R9), R10
	CBZW	R10, leave

	MOVD	$SYS_getpid, R8
	SVC
	MOVWU	trapState_pid(R19), R10
	CMPW	R0, R10
	BNE	leave

	ADD	$trapState_fired, R19, R9
note:
	LDAXR	(R9), R11
	ORR	R20, R11
	STLXR	R11, (R9), R12
	CBNZW	R12, note
	DMB	$0xb // ISH: other threads see the signal before held is read
	ADD	$trapState_held, R19, R9
	LDARW	(R9), R10
	CBZW	R10, unlink
	MOVD	R9, R0
	MOVD	$FUTEX_WAIT_PRIVATE, R1
	MOVD	$1, R2
	MOVD	$·holdTime(SB), R3
	MOVD	$SYS_futex, R8
	SVC
	CMN	$ETIMEDOUT, R0
	BNE	unlink

	ADD	$trapState_held, R19, R0
	STLRW	ZR, (R0)
	MOVD	$FUTEX_WAKE_PRIVATE, R1
	MOVD	$0x7fffffff, R2
	MOVD	$SYS_futex, R8
	SVC

unlink:
	ADD	$trapState_tmp, R19, R1
	MOVD	R1, NAME(RSP)
	MOVD	trapState_ino(R19), R10
	CBZ	R10, remove
look:
	MOVD	$AT_FDCWD, R0
	MOVD	RSP, R2
	MOVD	$AT_SYMLINK_NOFOLLOW, R3
	MOVD	$SYS_newfstatat, R8
	SVC
	CBNZ	R0, other
	MOVD	0(RSP), R9
	MOVD	trapState_dev(R19), R10
	CMP	R9, R10
	BNE	other
	MOVD	8(RSP), R9
	MOVD	trapState_ino(R19), R10
	CMP	R9, R10
	BNE	other
remove:
	MOVD	$AT_FDCWD, R0
	MOVD	NAME(RSP), R1
	MOVD	$0, R2
	MOVD	$SYS_unlinkat, R8
	SVC
other:
	ADD	$trapState_path, R19, R1
	MOVD	NAME(RSP), R9
	MOVD	R1, NAME(RSP)
	CMP	R9, R1
	BNE	look

wake:
	MOVW	trapState_ln(R19), R0
	MOVD	$SHUT_RDWR, R1
	MOVD	$SYS_shutdown, R8
	SVC

leave:
	ADD	$trapState_busy, R19, R9
left:
	LDAXRW	(R9), R10
	SUBW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, left
next:
	MOVWU	SIG(RSP), R0
	ADD	$trapState_next, R19, R9
	LDAR	(R9), R12
	MOVD	INFO(RSP), R1
	MOVD	CONTEXT(RSP), R2
	MOVD	SAVER19(RSP), R19
	MOVD	SAVER20(RSP), R20
	ADD	$FRAME, RSP
	JMP	(R12)
