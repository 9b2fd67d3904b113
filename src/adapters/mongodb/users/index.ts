export { type CopiedUsers, copyUsersAndRoles } from './copy-users.ts';
