# Chooses the system slot and boots it: A or B, by what is written at 1 MiB of the card.
#
# The state is there twice (blocks 0x800 and 0x880, 4 KiB each: CRC-32, then name=value strings), so that a plug pulled
# while one copy is written leaves the other. The newer copy has the number after the older's: 0, 1, 2, 0, ...
# firmware/guard/bootstate.py reads and writes the same. Only strings are compared here: no arithmetic, on any board.

setenv gl_names gl_seq gl_order gl_a gl_b gl_data gl_update
setenv gl_one x
setenv gl_two x
${devtype} dev ${devnum}
setenv gl_seq x
if ${devtype} read ${kernel_addr_r} 0x800 0x8; then
    if env import -c ${kernel_addr_r} 0x1000 ${gl_names}; then setenv gl_one "${gl_seq}"; fi
fi
setenv gl_seq x
if ${devtype} read ${kernel_addr_r} 0x880 0x8; then
    if env import -c ${kernel_addr_r} 0x1000 ${gl_names}; then setenv gl_two "${gl_seq}"; fi
fi

setenv gl_pair "${gl_one}${gl_two}"
if test "${gl_pair}" = 01 || test "${gl_pair}" = 12 || test "${gl_pair}" = 20 || test "${gl_one}" = x; then
    setenv gl_write 0x800
    setenv gl_seq "${gl_two}"
else
    setenv gl_write 0x880
    ${devtype} read ${kernel_addr_r} 0x800 0x8
    env import -c ${kernel_addr_r} 0x1000 ${gl_names}
fi
if test "${gl_pair}" = xx; then
    echo "gatelink: no boot state, both copies are damaged: starting with slot A"
    setenv gl_order "A B"
    setenv gl_a 3
    setenv gl_b 3
    setenv gl_data ready
    setenv gl_update none
    setenv gl_seq 2
fi

if test "${gl_a}${gl_b}" = 00; then
    echo "gatelink: every attempt of both slots failed: trying all of them again"
    setenv gl_a 3
    setenv gl_b 3
fi
setenv gl_slot none
for slot in ${gl_order}; do
    if test "${gl_slot}" = none; then
        if test "${slot}" = A && test "${gl_a}" != 0; then setenv gl_slot A; fi
        if test "${slot}" = B && test "${gl_b}" != 0; then setenv gl_slot B; fi
    fi
done
if test "${gl_slot}" = B; then
    setenv gl_left "${gl_b}"
    setenv gl_part 3
else
    setenv gl_slot A
    setenv gl_left "${gl_a}"
    setenv gl_part 2
fi
if test "${gl_left}" = 3; then setenv gl_less 2; fi
if test "${gl_left}" = 2; then setenv gl_less 1; fi
if test "${gl_left}" = 1; then setenv gl_less 0; fi
if test "${gl_slot}" = B; then setenv gl_b "${gl_less}"; else setenv gl_a "${gl_less}"; fi

if test "${gl_seq}" = 0; then setenv gl_next 1; fi
if test "${gl_seq}" = 1; then setenv gl_next 2; fi
if test "${gl_seq}" = 2; then setenv gl_next 0; fi
setenv gl_seq "${gl_next}"
mw.b ${kernel_addr_r} 0 0x1000
env export -c -s 0x1000 ${kernel_addr_r} ${gl_names}
${devtype} write ${kernel_addr_r} ${gl_write} 0x8

echo "gatelink: slot ${gl_slot} (attempts left: A ${gl_a}, B ${gl_b})"
part uuid ${devtype} ${devnum}:${gl_part} gl_uuid
setenv gl_ramdisk -
if load ${devtype} ${devnum}:1 ${scriptaddr} board.env; then env import -t ${scriptaddr} ${filesize} board_args board_fdt board_kernel board_boot; fi
if test -z "${board_kernel}"; then setenv board_kernel Image; fi
if test -z "${board_boot}"; then setenv board_boot booti; fi
setenv bootargs "root=PARTUUID=${gl_uuid} ro rootwait gatelink.slot=${gl_slot} rauc.slot=${gl_slot} panic=5 oops=panic ${board_args}"
if test -n "${board_fdt}"; then
    load ${devtype} ${devnum}:${gl_part} ${fdt_addr_r} /boot/${board_fdt}
    setenv fdt_addr ${fdt_addr_r}
fi
if load ${devtype} ${devnum}:${gl_part} ${kernel_addr_r} /boot/${board_kernel}; then
    if load ${devtype} ${devnum}:${gl_part} ${ramdisk_addr_r} /boot/initramfs; then
        setenv gl_ramdisk ${ramdisk_addr_r}:${filesize}
    fi
    ${board_boot} ${kernel_addr_r} ${gl_ramdisk} ${fdt_addr}
fi
echo "gatelink: slot ${gl_slot} cannot be loaded"
reset
