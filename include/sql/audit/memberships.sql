-- a role that is a member of another one; admin: it may make others members
SELECT DISTINCT
    pg_get_userbyid(members.member) AS member,
    pg_get_userbyid(members.roleid) AS role,
    members.admin_option AS admin
FROM pg_auth_members AS members
ORDER BY member, role, admin;
