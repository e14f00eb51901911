-- Turns a NoCloud seed written in JSON into shell functions for /etc/nano/boot. Everything from the seed is quoted (sh).
-- The words are cloud-init's: https://cloudinit.readthedocs.io/en/latest/reference/modules.html
local json = require("cjson.safe")

local function read(name)
    local file = io.open("/run/seed/" .. name)
    if not file then return {} end
    local text = file:read("a"):gsub("^#cloud%-config%s*\n", "")
    file:close()
    local value, err = json.decode(text)
    if value == nil then
        io.stderr:write(name, " is not JSON, which is all of YAML that nano reads: ", err, "\n")
        os.exit(1)
    end
    return value
end

local function sh(value) return "'" .. tostring(value):gsub("'", "'\\''") .. "'" end
local function list(value)
    if type(value) == "table" then return value end
    local words = {}
    if type(value) == "string" then for word in value:gmatch("[^,%s]+") do words[#words + 1] = word end end
    return words
end
local function quoted(values)
    local words = {}
    for i, value in ipairs(values) do words[i] = sh(value) end
    return table.concat(words, " ")
end
local function say(...) print(string.format(...)) end
local function home(user) return user == "root" and "/root" or "/home/" .. user end
local function put_keys(user, keys)
    if #list(keys) > 0 then say("put_key %s %s %s", sh(home(user)), sh(user), quoted(keys)) end
end

local meta, user, net = read("meta-data"), read("user-data"), read("network-config")
local name = user.hostname or meta["local-hostname"] or "nano"

say("instance=%s", sh(meta["instance-id"] or "none"))
say("names() {\necho %s >/etc/hostname; hostname %s", sh(name), sh(name))
say("{ echo '127.0.0.1 localhost'; echo 127.0.1.1 %s; } >/etc/hosts\n}", quoted({ user.fqdn or name, user.fqdn and name or nil }))

local function nic(key, it)
    local mac = it.match and it.match.macaddress
    say(mac and "nic=$(name_of %s)" or "nic=%s", sh(mac and mac:lower() or key))
    say("if [ -n \"$nic\" ]; then")
    if it.mtu then say("ip link set \"$nic\" mtu %s", sh(it.mtu)) end
    if it["set-name"] then say("rename \"$nic\" %s && nic=%s", sh(it["set-name"]), sh(it["set-name"])) end
    say("ip link set \"$nic\" up")
    for _, address in ipairs(it.addresses or {}) do say("ip addr add %s dev \"$nic\"", sh(address)) end
    if it.gateway4 then say("ip route replace default via %s dev \"$nic\"", sh(it.gateway4)) end
    for _, route in ipairs(it.routes or {}) do say("ip route replace %s via %s dev \"$nic\"", sh(route.to), sh(route.via)) end
    local servers = it.nameservers and it.nameservers.addresses or {}
    if #servers > 0 then say("printf 'nameserver %%s\\n' %s >/etc/resolv.conf", quoted(servers)) end
    if it.dhcp4 == true then say("dhcp \"$nic\"") end
    say("fi")
end
if net.ethernets then
    say("network() {\n:")
    for key, it in pairs(net.ethernets) do nic(key, it) end
    say("}")
end

say("keys() {\n:")
if user.ssh_keys and user.ssh_keys.ed25519_private then say("put_host_key %s", sh(user.ssh_keys.ed25519_private)) end
put_keys("root", user.ssh_authorized_keys)
local known = {}
for word in ([[hostname fqdn manage_etc_hosts preserve_hostname ssh_keys ssh_authorized_keys ssh_deletekeys disable_root ssh_pwauth
    users chpasswd write_files runcmd package_update package_upgrade locale timezone]]):gmatch("%S+") do known[word] = true end

say("}\nsetup() {\n:")
for key in pairs(user) do
    if not known[key] then say("complain %s", sh(key .. ": nano cannot do that")) end
end
for _, it in ipairs(user.users or {}) do
    if type(it) == "table" then
        local shell, gecos = it.shell or "", it.gecos or ""
        say("put_user %s %s %s %s", sh(it.name), sh(it.hashed_passwd or it.passwd or ""), sh(shell), sh(gecos))
        for _, group in ipairs(list(it.groups)) do say("join_group %s %s", sh(group), sh(it.name)) end
        if it.sudo then say("complain %s", sh("users: nano has no sudo for " .. it.name)) end
        put_keys(it.name, it.ssh_authorized_keys)
    end
end
for _, it in ipairs(user.chpasswd and user.chpasswd.users or {}) do
    if it.type == "hash" then say("put_password %s %s", sh(it.name), sh(it.password)) end
end
for _, it in ipairs(user.write_files or {}) do
    local decode = (it.encoding == "b64" or it.encoding == "base64") and " | base64 -d" or ""
    local where = quoted({ it.path, it.permissions or "0644", it.owner or "root:root", it.append or false })
    say("printf %%s %s%s | put_file %s", sh(it.content or ""), decode, where)
end
for _, it in ipairs(user.runcmd or {}) do
    say("run %s", type(it) == "table" and quoted(it) or "/bin/sh -c " .. sh(it))
end
say("}")
