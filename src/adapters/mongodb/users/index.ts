export { copyUsersAndRoles } from './copy-users.ts';
