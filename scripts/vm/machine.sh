# Sourced by vm.sh. Starts and stops virtual machines, one for each kernel and worktree, and runs commands in
# them. The directory of a machine has the PID of qemu, the port and key for ssh, and the console. Changes on
# the disks are lost when the machine stops.

kernels=(6.1 6.12 6.17)
boot_limit_seconds=240

machine_directory() {
  local worktree
  worktree=$(pwd -P | sha256sum | cut -c 1-8)
  echo "$cache/run/$worktree-$1"
}

# Prints the PID of the machine's qemu. Fails if the PID now belongs to another process.
machine_pid() {
  local directory pid
  directory=$(machine_directory "$1")
  pid=$(cat "$directory/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "-pidfile $directory/pid " || return 1
  echo "$pid"
}

need_qemu() {
  need_programs qemu-system-x86_64=qemu-system-x86 ssh=openssh-client
  command -v qemu-system-x86_64 >/dev/null || { echo "a virtual machine needs qemu-system-x86_64"; return 1; }
  command -v ssh >/dev/null || { echo "a virtual machine needs ssh"; return 1; }
}

# Prints kvm or tcg. On some machines /dev/kvm exists but hangs, so this boots a kernel in it, once per boot
# of the host.
find_accelerator() {
  local image=$1 answer lock
  answer=$cache/accelerator-$(cat /proc/sys/kernel/random/boot_id)
  exec {lock}>"$cache/accelerator.lock"
  flock "$lock"
  if [ ! -f "$answer" ]; then
    rm -f "$cache"/accelerator-*
    if [ -w /dev/kvm ] && boots_in_kvm "$image"; then echo kvm >"$answer"; else echo tcg >"$answer"; fi
  fi
  exec {lock}>&-
  cat "$answer"
}

# A kernel without a disk panics. With panic=-1 it then restarts, which ends qemu because of -no-reboot.
boots_in_kvm() {
  timeout --kill-after=5 20 qemu-system-x86_64 -accel kvm -cpu host -m 512 -nodefaults -display none -no-reboot \
    -kernel "$1/vmlinuz-6.1" -append "panic=-1 console=ttyS0" -serial stdio </dev/null 2>/dev/null |
    grep -q 'Kernel panic'
}

# start_machine KERNEL
start_machine() {
  local kernel=$1 image directory accelerator lock port attempt start=$SECONDS
  image=$(image_directory)
  directory=$(machine_directory "$kernel")
  mkdir -p "$directory" || return 1
  exec {lock}>"$directory/lock"
  flock "$lock"
  if machine_pid "$kernel" >/dev/null; then
    echo "kernel $kernel is already running"
    exec {lock}>&-
    return 0
  fi
  accelerator=$(find_accelerator "$image")
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if run_qemu "$kernel" "$image" "$directory" "$accelerator" "$port" 2>"$directory/qemu.log" {lock}>&-; then break; fi
    grep -q 'host forwarding' "$directory/qemu.log" && [ "$attempt" -lt 10 ] && continue
    cat "$directory/qemu.log" >&2
    exec {lock}>&-
    return 1
  done
  echo "$port" >"$directory/port"
  cp "$image/key" "$directory/key"
  exec {lock}>&-
  await_machine "$kernel" || { stop_machine "$kernel"; return 1; }
  echo "kernel $kernel has started in $((SECONDS - start)) s ($accelerator)"
}

run_qemu() {
  local kernel=$1 image=$2 directory=$3 accelerator=$4 port=$5 cpu=max
  # With one thread per processor, qemu 7.2 sometimes runs an instruction that another processor has just
  # replaced. A kernel that patches itself, as at the first cpu.max, then ends with "Oops: int3". A single
  # thread avoids this.
  if [ "$accelerator" = kvm ]; then cpu=host; else accelerator=tcg,thread=single; fi
  # restrict=on: the guest has no network, and only this host can connect to its port 22.
  qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp 2 -m "${FFRTMP_VM_MEMORY_MB:-2048}" \
    -nodefaults -display none -no-reboot -daemonize -pidfile "$directory/pid" \
    -kernel "$image/vmlinuz-$kernel" -initrd "$image/initrd-$kernel" \
    -append "root=/dev/vda rw console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0 ${FFRTMP_VM_APPEND-}" \
    -drive "file=$image/root.img,format=raw,if=virtio,snapshot=on" \
    -drive "file=$image/data.img,format=raw,if=virtio,snapshot=on" \
    -nic "user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" \
    -device virtio-rng-pci -serial "file:$directory/console"
}

await_machine() {
  local kernel=$1 deadline=$((SECONDS + boot_limit_seconds))
  until ssh_machine "$kernel" root true 2>/dev/null; do
    if ! machine_pid "$kernel" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      echo "kernel $kernel has not started; the end of its console:" >&2
      tail -n 20 "$(machine_directory "$kernel")/console" >&2
      return 1
    fi
    sleep 1
  done
}

# ssh_machine KERNEL USER [COMMAND]: all commands of a user share one connection, because opening one takes a
# second.
ssh_machine() {
  local directory user=$2
  directory=$(machine_directory "$1")
  shift 2
  ssh -q -F /dev/null -i "$directory/key" -p "$(cat "$directory/port")" -o IdentitiesOnly=yes \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -o ServerAliveInterval=15 \
    -o ControlMaster=auto -o ControlPersist=600 -o ControlPath="$directory/ssh-%r" "$user@127.0.0.1" "$@"
}

# exec_machine KERNEL USER COMMAND...: runs a command in /work with exactly these arguments
exec_machine() {
  local kernel=$1 user=$2
  shift 2
  machine_pid "$kernel" >/dev/null || fail "no machine with kernel $kernel is running: start it with scripts/vm.sh start --kernel $kernel"
  ssh_machine "$kernel" "$user" "cd /work && exec $(printf '%q ' "$@")"
}

# push_machine KERNEL SOURCE DESTINATION: copies a file, or the content of a directory
push_machine() {
  local kernel=$1 source=$2 destination=$3
  machine_pid "$kernel" >/dev/null || fail "no machine with kernel $kernel is running: start it with scripts/vm.sh start --kernel $kernel"
  [ -e "$source" ] || fail "$source does not exist"
  if [ -d "$source" ]; then
    tar -C "$source" -cf - . | ssh_machine "$kernel" root "mkdir -p $(printf %q "$destination") && tar -C $(printf %q "$destination") -xf -"
  else
    ssh_machine "$kernel" root "mkdir -p \"\$(dirname $(printf %q "$destination"))\" && cat >$(printf %q "$destination").new && chmod $(stat -c %a "$source") $(printf %q "$destination").new && mv $(printf %q "$destination").new $(printf %q "$destination")" <"$source"
  fi
}

stop_machine() {
  local directory pid user
  directory=$(machine_directory "$1")
  for user in root ffuser; do
    if [ -S "$directory/ssh-$user" ]; then ssh -q -F /dev/null -o ControlPath="$directory/ssh-$user" -O exit "$user@127.0.0.1" 2>/dev/null; fi
  done
  if pid=$(machine_pid "$1"); then
    kill "$pid"
    while machine_pid "$1" >/dev/null; do sleep 0.1; done
  fi
  rm -f "$directory/pid" "$directory/port" "$directory/key"
}
